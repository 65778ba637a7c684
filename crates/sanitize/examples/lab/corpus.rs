//! Corpora in JSON lines, plain or compressed by gzip, and the folds of their families.

use std::fs;
use std::io::Read as _;

use serde::Deserialize;

use super::FOLDS;

/// Families that hold the same texts or were made from each other: they are left out together.
const TWINS: [&[&str]; FOLDS] = [
    &["garak", "awesome-chatgpt-prompts", "awesome-chatgpt-prompts-zh", "prompts.chat", "gpteacher"],
    &["agent-security-bench+docs", "benign-carrier", "fastapi"],
    &["gptfuzz", "giskard", "ps-fuzz", "fastchat", "open-assistant", "long"],
    &["bastioncorpus", "obf", "self-instruct"],
];

/// A text of which it is known what it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) label: String,
    /// Direct, jailbreak, extraction, indirect, obfuscated; benign, benign-hard.
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Row {
    pub(crate) fn is_attack(&self) -> bool {
        self.label == "attack"
    }

    /// The source without its parts.
    pub(crate) fn family(&self) -> &str {
        self.source.split(['/', ':']).next().unwrap_or_default()
    }

    /// The fold that its family belongs to.
    pub(crate) fn fold(&self) -> usize {
        let family = self.family();
        let twins = TWINS.iter().position(|twins| twins.contains(&family));
        twins.unwrap_or_else(|| crc32fast::hash(family.as_bytes()) as usize % FOLDS)
    }
}

/// All rows of these files.
///
/// # Errors
/// If one cannot be read or a line of it is not a row.
pub(crate) fn read(paths: &[String]) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let mut rows = Vec::new();
    for path in paths {
        let bytes = fs::read(path)?;
        let mut text = String::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(bytes)?;
        }
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            rows.push(serde_json::from_str(line)?);
        }
    }
    Ok(rows)
}
