//! What the score is measured against: a list of thirteen regular expressions as people write them, and n-grams
//! without windows, concepts or texts of our own.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use sanitize::training::SLOTS;

use crate::lab::corpus::Row;
use crate::lab::dataset::Sample;
use crate::lab::learn::Bag;

/// Over the text as it is, without regard to case.
const LIST: [&str; 13] = [
    r"ignore\s+(all\s+)?(of\s+)?(the\s+|your\s+|my\s+)?(previous|prior|above|earlier)\s+(instructions?|prompts?|rules)",
    r"disregard\s+(all\s+|any\s+)?(the\s+|your\s+)?(previous|prior|above|system)",
    r"forget\s+(everything|all|your\s+(instructions|training|rules))",
    r"you\s+are\s+now\s+(a|an|in|the|dan|going)\b",
    r"\bdo\s+anything\s+now\b|\bDAN\b\s+mode",
    r"(developer|debug|god|admin|jailbreak)\s+mode",
    r"(reveal|show|print|repeat|output)\s+(me\s+)?(your|the)\s+(system|initial|hidden)\s+(prompt|instructions?|message)",
    r"what\s+(is|are|were)\s+your\s+(system\s+prompt|initial\s+instructions|instructions)",
    r"(pretend|act)\s+(to\s+be|as\s+if|like)\s+you\s+(are|have|had)\s+no",
    r"(without|no)\s+(any\s+)?(restrictions|limitations|filters|ethical\s+guidelines)",
    r"(override|bypass)\s+(your|the|all)\s+(safety|security|content|previous)",
    r"new\s+instructions?\s*:",
    r"</?(system|instructions?)>|\[/?(system|inst)\]|<\|im_start\|>",
];

/// Whether a text has any of the thirteen.
#[derive(Debug)]
pub(crate) struct List(Regex);

impl List {
    /// # Errors
    /// If one of them is no regular expression.
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let patterns = LIST.map(|pattern| format!("(?i){pattern}"));
        Ok(Self(Regex::new_many(&patterns)?))
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The rows as they are: one to five characters and one or two words, each counted once a text.
pub(crate) fn plain(rows: &[Row]) -> Vec<Sample> {
    let sample = |row: &Row| Sample {
        group: row.family().to_owned(),
        is_attack: row.is_attack(),
        fold: row.fold(),
        bag: Bag::new([vec![slots(&row.text)]], 1),
    };
    rows.iter().map(sample).collect()
}

fn slots(text: &str) -> Vec<u32> {
    let text = text.to_lowercase();
    let slot = |part: &str| crc32fast::hash(part.as_bytes()) % SLOTS as u32;
    let mut slots = BTreeSet::new();
    for (at, _) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        let ends = rest.char_indices().map(|(at, ch)| at + ch.len_utf8()).take(5);
        slots.extend(ends.filter_map(|end| rest.get(..end)).map(slot));
    }
    let words: Vec<&str> = text.split(|ch: char| !ch.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    slots.extend(words.iter().map(|word| slot(&format!(" {word} "))));
    slots.extend(words.windows(2).map(|pair| slot(&format!(" {} ", pair.join(" ")))));
    slots.into_iter().collect()
}
