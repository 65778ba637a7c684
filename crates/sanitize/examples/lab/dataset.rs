//! What is learned from: the corpora, our own templates, and both put together as documents with an
//! order hidden in them.

use std::collections::{BTreeMap, BTreeSet};

use sanitize::training::{Extractor, SLOTS, WINDOW_BLOCKS};
use sanitize::{Normalized, View};

use super::corpus::Row;
use super::learn::{Bag, Example, Model, Settings};
use super::templates::Templates;
use super::{FOLDS, Random};

/// How many texts are drawn from a template, at most.
const DRAWS: usize = 14;
/// How many documents are composed for each fold, and as many honest ones.
const DOCUMENTS: usize = 700;
/// The longest carrier of a composed document, in bytes.
const MAX_CARRIER: usize = 1600;
/// The longest text that is learned from, in bytes.
const MAX_TEXT: usize = 24_000;

pub(crate) const SETTINGS: Settings = Settings { epochs: 10, rate: 0.12, decay: 1e-2 };

/// A text to learn from or to judge.
#[derive(Debug)]
pub(crate) struct Sample {
    /// What is weighed as one: a family of a corpus, or a kind of a template file.
    pub(crate) group: String,
    pub(crate) is_attack: bool,
    /// It is judged by the model that did not see this fold.
    pub(crate) fold: usize,
    pub(crate) bag: Bag,
}

/// All samples: first one for each row, then our own.
///
/// # Errors
/// If a template cannot be read.
pub(crate) fn build(rows: &[Row]) -> Result<Vec<Sample>, Box<dyn std::error::Error>> {
    let extractor = Extractor::new()?;
    let sample = |group: String, is_attack, fold, text: &str| {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text);
        Sample { group, is_attack, fold, bag: bag(&extractor, text) }
    };
    let of_row = |row: &Row| sample(row.family().to_owned(), row.is_attack(), row.fold(), &row.text);
    let mut samples: Vec<Sample> = rows.iter().map(of_row).collect();
    let templates = Templates::new()?;
    let mut random = Random::new(8);
    let mut orders = vec![(Vec::new(), Vec::new()); FOLDS];
    for template in templates.all() {
        let texts: Result<BTreeSet<String>, String> =
            (0..DRAWS).map(|_| templates.draw(template, &mut random)).collect();
        let (fold, is_attack) = (template.fold(), template.is_attack());
        for text in texts? {
            let group = format!("own:{}:{}", template.file, template.kind);
            samples.push(sample(group, is_attack, fold, &text));
            if let (Some(orders), true) = (orders.get_mut(fold), is_carried(template.kind)) {
                let side = if is_attack { &mut orders.0 } else { &mut orders.1 };
                side.push(text);
            }
        }
    }
    for (fold, (attacks, honest)) in orders.iter().enumerate() {
        let carriers: Vec<&str> =
            rows.iter().filter(|row| is_carrier(row, fold)).map(|row| row.text.as_str()).collect();
        for (is_attack, orders) in [(true, attacks), (false, honest)] {
            for _ in 0..DOCUMENTS {
                let (Some(carrier), Some(order)) = (random.pick(&carriers), random.pick(orders)) else { continue };
                let text = compose(carrier, order, &mut random);
                samples.push(sample("own:composed".to_owned(), is_attack, fold, &text));
            }
        }
    }
    Ok(samples)
}

/// A model of all samples but those of one fold.
pub(crate) fn learn(samples: &[Sample], without: Option<usize>, settings: Settings) -> Model {
    let seen = |sample: &&Sample| Some(sample.fold) != without;
    let mut groups: BTreeMap<(&str, bool), f32> = BTreeMap::new();
    for sample in samples.iter().filter(seen) {
        *groups.entry((&sample.group, sample.is_attack)).or_default() += 1.0;
    }
    // A family with many texts counts more than one with few, but not as many times more.
    let mut totals = [0.0_f32; 2];
    for ((_, is_attack), count) in &groups {
        if let Some(total) = totals.get_mut(usize::from(*is_attack)) {
            *total += count.sqrt();
        }
    }
    let all: f32 = groups.values().sum();
    let example = |sample: &'_ Sample| {
        let count = groups.get(&(sample.group.as_str(), sample.is_attack)).copied().unwrap_or(1.0);
        let total = totals.get(usize::from(sample.is_attack)).copied().unwrap_or(1.0);
        all / 2.0 / total / count.sqrt()
    };
    let examples: Vec<Example<'_>> = samples
        .iter()
        .filter(seen)
        .map(|sample| Example { bag: &sample.bag, is_attack: sample.is_attack, weight: example(sample) })
        .collect();
    Model::learn(&examples, SLOTS, settings, 26)
}

/// The features of a text and of what it holds in encoded form.
pub(crate) fn bag(extractor: &Extractor, text: &str) -> Bag {
    let text = Normalized::new(text);
    let views = text.views().iter().map(View::folded);
    let parts: Vec<_> = std::iter::once(text.folded()).chain(views).map(|folded| extractor.blocks(folded)).collect();
    Bag::new(parts, WINDOW_BLOCKS)
}

/// Kinds that are put into documents: orders to a model, and the honest requests beside them.
fn is_carried(kind: &str) -> bool {
    matches!(kind, "override" | "extraction" | "indirect" | "exfiltration" | "secret" | "benign-note")
}

fn is_carrier(row: &Row, fold: usize) -> bool {
    !row.is_attack() && row.fold() == fold && row.text.len() >= 200
}

/// Puts an order into a document, in one of the places where people hide them.
fn compose(carrier: &str, order: &str, random: &mut Random) -> String {
    let carrier = carrier.get(..carrier.floor_char_boundary(MAX_CARRIER)).unwrap_or(carrier);
    let places: Vec<usize> =
        carrier.match_indices(['\n', '.', '。']).map(|(at, end)| at + end.len()).chain([0, carrier.len()]).collect();
    let (head, tail) = carrier.split_at(random.pick(&places).copied().unwrap_or(0));
    match random.below(12) {
        0 => format!("<html><body><p>{head}</p><!-- {order} --><p>{tail}</p></body></html>"),
        1 => format!("<div>{head}<span style=\"display:none\">{order}</span>{tail}</div>"),
        2 => format!("{{\"results\": [{{\"title\": {head:?}, \"snippet\": {order:?}}}], \"more\": {tail:?}}}"),
        3 => format!("{head}\n// {order}\n{tail}"),
        4 => format!("{head}\n# TODO: {order}\n{tail}"),
        5 => format!("Subject: question\n\n{head}\n\n{order}\n\n{tail}\n\nBest regards"),
        6 => format!("{head}\n![{order}](https://example.com/a.png)\n{tail}"),
        7 => format!("{head}\n\n{order}\n\n{tail}"),
        8 => format!("{{\"status\": \"ok\", \"content\": {:?}}}", format!("{head}\n{order}\n{tail}")),
        9 => format!("{carrier}\n\n{order}"),
        10 => format!("{order}\n\n{carrier}"),
        _ => format!("{head} {order} {tail}"),
    }
}
