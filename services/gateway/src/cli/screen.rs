//! `portcullis screen`: what the rules make of texts, for people who tune them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use core_validate::ModelName;
use pipeline::{ScreenRules, TextDigest};
use sanitize::{Action, Calibration, Finding, Normalized, Sanitizer, Score, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{Failure, print};
use crate::config::Settings;

/// Longest line of JSON lines, in bytes.
const MAX_LINE: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct ScreenArguments {
    /// The text, or JSON lines with a field `text` in each; standard input if there is none.
    file: Option<PathBuf>,
    /// Screen as what is sent to a model, or as what comes from it.
    #[arg(long, value_enum, default_value_t = Direction::Input)]
    direction: Direction,
    /// Read JSON lines, each with a field `text`, and answer each with a line of JSON.
    #[arg(long)]
    jsonl: bool,
    /// Read honest texts of your own traffic, as JSON lines, and say the score_threshold that at most this share of them
    /// reaches, such as 0.01.
    #[arg(long, value_name = "SHARE", requires = "jsonl", conflicts_with = "digest")]
    calibrate: Option<f64>,
    /// Screen as for this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Screen as for this model.
    #[arg(long)]
    model: Option<ModelName>,
    /// Only say the digest of the text without its last line end, for screening.input.trusted_texts.
    #[arg(long, conflicts_with = "jsonl")]
    digest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Input,
    Output,
}

/// A line of JSON lines; what else is in it is given back.
#[derive(Deserialize)]
struct Line {
    text: String,
    #[serde(default)]
    id: Value,
}

/// `portcullis screen`
pub(super) fn run(settings: &Settings, arguments: &ScreenArguments) -> Result<(), Failure> {
    let policy = crate::rules::policy(settings).map_err(Failure::new)?;
    let tenant = arguments.tenant.as_deref().unwrap_or_default();
    let rules = policy.screening.rules_for(tenant, None, arguments.model.as_ref());
    let score = Score::new().map_err(Failure::new)?;
    let mut input = open(arguments)?;
    if arguments.jsonl {
        let mut values = Vec::new();
        let asked =
            Asked { rules, score: &score, direction: arguments.direction, is_told: arguments.calibrate.is_none() };
        let read = lines(&mut input, &asked, &mut values);
        return match arguments.calibrate {
            Some(share) => read.and_then(|()| calibrate(&values, share)),
            None => read,
        };
    }
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(|error| Failure::new(format!("the text cannot be read: {error}")))?;
    if arguments.digest {
        // Editors and `echo` end a file with a line that the prompt does not have.
        let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        print(&format!("sha256:{}", TextDigest::of(text)));
        return Ok(());
    }
    let asked = Asked { rules, score: &score, direction: arguments.direction, is_told: true };
    for line in told(&screen(&asked, &text)) {
        print(&line);
    }
    Ok(())
}

fn open(arguments: &ScreenArguments) -> Result<Box<dyn BufRead>, Failure> {
    let Some(path) = &arguments.file else { return Ok(Box::new(BufReader::new(io::stdin()))) };
    let file = File::open(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// How texts are to be screened.
struct Asked<'a> {
    rules: &'a ScreenRules,
    score: &'a Score,
    direction: Direction,
    /// Whether each is told of.
    is_told: bool,
}

/// The threshold of the score that so many honest texts reach, and what it promises.
fn calibrate(values: &[f32], share: f64) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&share) {
        return Err(Failure::new("--calibrate: expected a share from 0 to 1"));
    }
    let found = Calibration::new(values, share).ok_or_else(|| Failure::new("there are no texts"))?;
    // All digits: one text more or less may be a hair away. No text has a score of one.
    print(&format!("score_threshold = {}", found.threshold().min(1.0_f32.next_down())));
    let (flagged, all, bound) = (found.flagged(), values.len(), found.bound() * 100.0);
    print(&format!(
        "# {flagged} of {all} texts reach it; of others like them at most {bound:.2} %, with a confidence of 95 %"
    ));
    Ok(())
}

/// Answers every line; those that cannot be read are said, and the command fails in the end.
fn lines(input: &mut dyn BufRead, asked: &Asked<'_>, values: &mut Vec<f32>) -> Result<(), Failure> {
    let (mut number, mut unread) = (0_u64, 0_u64);
    loop {
        let mut line = Vec::new();
        let read = input.take(MAX_LINE).read_until(b'\n', &mut line).map_err(Failure::new)?;
        if read == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line>(&line) {
            Ok(Line { text, id }) => {
                let screened = screen(asked, &text);
                values.push(screened.score);
                if asked.is_told {
                    print(&answer(&screened, number, &id).to_string());
                }
            }
            Err(_) => {
                unread += 1;
                print(&json!({"line": number, "error": "no JSON object with a text"}).to_string());
            }
        }
    }
    if unread == 0 { Ok(()) } else { Err(Failure::new(format!("{unread} lines cannot be read"))) }
}

/// A text that was screened.
struct Screened<'t> {
    verdict: Verdict<'t>,
    text: &'t str,
    /// How much it looks like an attack, from 0 to 1.
    score: f32,
    took: Duration,
}

fn screen<'t>(asked: &Asked<'_>, text: &'t str) -> Screened<'t> {
    let sanitizer: &Sanitizer = match asked.direction {
        Direction::Input => &asked.rules.input,
        Direction::Output => &asked.rules.output,
    };
    let started = Instant::now();
    let verdict = sanitizer.check(text);
    let took = started.elapsed();
    Screened { verdict, text, score: asked.score.value(&Normalized::new(text)), took }
}

/// What is said of a text to a person: the verdict, each finding with the place it is at, the text that is left.
fn told(screened: &Screened<'_>) -> Vec<String> {
    let Screened { verdict, text, score, took } = screened;
    let size = text.len();
    let action = verdict.action().as_str();
    let mut said = vec![format!("{action}, score {score:.3}, {size} bytes in {} us", took.as_micros())];
    for finding in verdict.findings() {
        let shown = finding.range().and_then(|range| text.get(range)).map(excerpt).unwrap_or_default();
        let place = finding.range().map(|range| format!(" at {}..{}", range.start, range.end)).unwrap_or_default();
        let (action, mode) = (finding.action().as_str(), finding.mode().as_str());
        let severity = finding.severity().as_str();
        said.push(format!(
            "  {} ({}, {severity}): {action}, {mode}{place}{shown}",
            finding.rule(),
            finding.label().as_str()
        ));
    }
    if verdict.action() == Action::Redact {
        said.push(verdict.clone().into_text().into_owned());
    }
    said
}

/// The start of what was found, with everything that does not print escaped.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!(": {shown}{more}")
}

fn answer(screened: &Screened<'_>, line: u64, id: &Value) -> Value {
    let Screened { verdict, score, took, .. } = screened;
    json!({
        "line": line,
        "id": id,
        "action": verdict.action().as_str(),
        "is_flagged": !verdict.findings().is_empty(),
        "score": (f64::from(*score) * 1e4).round() / 1e4,
        "findings": verdict.findings().iter().map(finding).collect::<Vec<_>>(),
        "microseconds": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule(),
        "label": finding.label().as_str(),
        "severity": finding.severity().as_str(),
        "action": finding.action().as_str(),
        "mode": finding.mode().as_str(),
        "range": finding.range().map(|range| [range.start, range.end]),
    })
}
