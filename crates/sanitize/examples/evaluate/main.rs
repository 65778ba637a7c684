//! Measures the score and the default sanitizer: what they find of attacks from families that the training did not
//! see, beside simpler ways; what they block of honest texts; how long the score takes.
//!
//! `cargo run --release -p sanitize --example evaluate -- CORPUS.jsonl[.gz] ... [--honest PATH ...]`
//! `cargo run --release -p sanitize --example evaluate -- --speed CORPUS.jsonl[.gz] ...`
#![expect(clippy::print_stdout, reason = "a command-line tool")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts are small")]

mod honest;
#[path = "../lab/mod.rs"]
#[expect(dead_code, reason = "some of it is for the trainer")]
mod lab;
mod peers;
mod speed;
mod table;

use std::collections::BTreeMap;
use std::error::Error;

use lab::corpus::{self, Row};
use lab::{dataset, rehearsal};
use sanitize::{Action, Normalized, Sanitizer, Score};
use table::Column;

/// The share of honest rows at which models are compared.
const SHARE: f64 = 0.01;
/// What is aimed at: the best recall of the models that were tried before, the share of honest texts that are blocked,
/// and microseconds for 4 KiB.
const GOALS: (f64, f64, f64) = (0.175, 0.005, 200.0);

fn main() -> Result<(), Box<dyn Error>> {
    let mut corpora = Vec::new();
    let mut honest_paths = Vec::new();
    let (mut is_speed, mut is_honest) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--speed" => is_speed = true,
            "--honest" => is_honest = true,
            _ if is_honest => honest_paths.push(argument),
            _ => corpora.push(argument),
        }
    }
    if corpora.is_empty() {
        return Err("usage: evaluate [--speed] CORPUS.jsonl[.gz] ... [--honest PATH ...]".into());
    }
    let rows = corpus::read(&corpora)?;
    if !is_speed {
        attacks(&rows)?;
        honest(&rows, &honest_paths)?;
    }
    let (scored, all) = speed::medians(&rows, &Score::new()?);
    println!("\nmicroseconds for 4 KiB, median: {scored:.0} the score, {all:.0} with normalizing");
    goal("S3", scored, false, GOALS.2);
    Ok(())
}

/// How much is found of attacks, each judged by a model that has not seen its family.
fn attacks(rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let samples = dataset::build(rows)?;
    let mut scores = rehearsal::scores(&samples, dataset::SETTINGS);
    let shipped = rehearsal::shipped_threshold(rows, &samples, &scores);
    let own = scores.split_off(rows.len());
    let plain = rehearsal::scores(&peers::plain(rows), dataset::SETTINGS);
    let list = peers::List::new()?;
    let sanitizer = Sanitizer::input_default()?;

    let score = Column::at("score at 1 %", rows, &scores, SHARE);
    let is_blocked = |row: &Row| sanitizer.check(&row.text).action() == Action::Block;
    let rules = Column { name: "default rules", flagged: rows.iter().map(is_blocked).collect() };
    let both = rules.flagged.iter().zip(&score.flagged).map(|(rule, score)| *rule || *score).collect();
    let columns = [
        Column { name: "13 expressions", flagged: rows.iter().map(|row| list.has(&row.text)).collect() },
        Column::at("n-grams at 1 %", rows, &plain, SHARE),
        score,
        Column { name: "score, shipped", flagged: scores.iter().map(|score| *score >= shipped).collect() },
        rules,
        Column { name: "rules or score", flagged: both },
    ];
    println!("Every row is judged by a model that has not seen its family. {} samples.", samples.len());
    table::print(rows, &columns);
    let mut groups: BTreeMap<(&str, bool), (usize, usize)> = BTreeMap::new();
    for (sample, score) in samples.iter().skip(rows.len()).zip(&own) {
        let group = groups.entry((&sample.group, sample.is_attack)).or_default();
        group.0 += 1;
        group.1 += usize::from(*score >= shipped);
    }
    println!("own texts, each line judged by a model that has not seen it, at the shipped threshold:");
    for ((group, is_attack), (count, flagged)) in groups {
        let side = if is_attack { "attack" } else { "honest" };
        println!("{side} {group:<29}{count:>6}{:>16.1}", flagged as f64 / count.max(1) as f64 * 100.0);
    }
    let [_, _, score, ..] = &columns;
    goal("S5", score.share(rows, Row::is_attack), true, GOALS.0);
    Ok(())
}

/// How many honest texts the default actions block.
fn honest(rows: &[Row], paths: &[String]) -> Result<(), Box<dyn Error>> {
    let files = honest::texts(paths)?;
    let of_rows = rows.iter().filter(|row| !row.is_attack()).map(|row| row.text.as_str());
    let sanitizer = Sanitizer::input_default()?;
    let all = of_rows.clone().count() + files.len();
    let (blocked, rules) = honest::blocked(&sanitizer, of_rows.chain(files.iter().map(String::as_str)));
    println!("\nblocked by default: {blocked} of {all} honest texts, {} of them files", files.len());
    for (rule, count) in rules {
        println!("  {count:>5} {rule}");
    }
    if !files.is_empty() {
        let score = Score::new()?;
        let is_flagged = |text: &&String| score.value(&Normalized::new(text)) >= score.threshold();
        let flagged = files.iter().filter(is_flagged).count();
        println!("the score, observed, flags {flagged} of {} files", files.len());
    }
    goal("S7", blocked as f64 / all.max(1) as f64, false, GOALS.1);
    Ok(())
}

fn goal(id: &str, measured: f64, is_least: bool, target: f64) {
    let (sign, is_met) = if is_least { (">=", measured >= target) } else { ("<=", measured <= target) };
    println!("goal {id} {measured:.4} {sign} {target} {}", if is_met { "met" } else { "missed" });
}
