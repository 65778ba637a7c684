//! The rule file: one rule per paragraph, one `key: value` per line.

use crate::error::BuildError;
use crate::finding::{Label, Severity};

/// A rule of a rule file, with a text it must match and one it must not.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) id: &'static str,
    pub(crate) label: Label,
    pub(crate) severity: Severity,
    pub(crate) gates: Vec<&'static str>,
    pub(crate) pattern: &'static str,
    example: &'static str,
    counter_example: &'static str,
}

impl Rule {
    /// The stable id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What the text is after: injection, jailbreak or extraction.
    pub fn label(&self) -> Label {
        self.label
    }

    /// A text it matches.
    pub fn example(&self) -> &'static str {
        self.example
    }

    /// An honest text with similar words, which it does not match.
    pub fn counter_example(&self) -> &'static str {
        self.counter_example
    }
}

/// Reads a rule file.
///
/// Paragraphs are parted by empty lines; lines that start with `#` are comments. Every rule has
/// all of `id`, `intent`, `severity`, `match` (a regular expression over folded text), `yes` and
/// `no`. It may have `gate`: literals parted by `|`, one of which every match holds; without one of them in the text it is
/// not tried.
pub(crate) fn parse(file: &'static str) -> Result<Vec<Rule>, BuildError> {
    let mut rules = Vec::new();
    let mut draft = Draft::default();
    for (index, line) in file.lines().chain([""]).enumerate() {
        let at = |problem| BuildError::RuleLine { line: index + 1, problem };
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !draft.is_empty {
                rules.push(std::mem::take(&mut draft).finish().map_err(at)?);
            }
            continue;
        }
        let (key, value) = line.split_once(": ").ok_or_else(|| at("no `key: value`"))?;
        draft.set(key, value.trim()).map_err(at)?;
    }
    Ok(rules)
}

struct Draft {
    is_empty: bool,
    id: &'static str,
    label: Option<Label>,
    severity: Option<Severity>,
    gate: Option<&'static str>,
    pattern: &'static str,
    example: &'static str,
    counter_example: &'static str,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            is_empty: true,
            id: "",
            label: None,
            severity: None,
            gate: None,
            pattern: "",
            example: "",
            counter_example: "",
        }
    }
}

impl Draft {
    fn set(&mut self, key: &str, value: &'static str) -> Result<(), &'static str> {
        self.is_empty = false;
        match key {
            "id" => self.id = value,
            "intent" => self.label = Some(label(value)?),
            "severity" => self.severity = Some(severity(value)?),
            "gate" => self.gate = Some(value),
            "match" => self.pattern = value,
            "yes" => self.example = value,
            "no" => self.counter_example = value,
            _ => return Err("unknown key"),
        }
        Ok(())
    }

    fn finish(self) -> Result<Rule, &'static str> {
        let texts = [self.id, self.pattern, self.example, self.counter_example];
        if texts.iter().any(|text| text.is_empty()) {
            return Err("the rule above lacks a key");
        }
        let gates: Vec<_> = self.gate.into_iter().flat_map(|gate| gate.split('|')).map(str::trim).collect();
        if gates.contains(&"") {
            return Err("the rule above has an empty gate literal");
        }
        Ok(Rule {
            id: self.id,
            label: self.label.ok_or("the rule above lacks an intent")?,
            severity: self.severity.ok_or("the rule above lacks a severity")?,
            gates,
            pattern: self.pattern,
            example: self.example,
            counter_example: self.counter_example,
        })
    }
}

fn label(word: &str) -> Result<Label, &'static str> {
    match word {
        "injection" => Ok(Label::Injection),
        "jailbreak" => Ok(Label::Jailbreak),
        "extraction" => Ok(Label::Extraction),
        _ => Err("unknown intent"),
    }
}

fn severity(word: &str) -> Result<Severity, &'static str> {
    match word {
        "low" => Ok(Severity::Low),
        "medium" => Ok(Severity::Medium),
        "high" => Ok(Severity::High),
        _ => Err("unknown severity"),
    }
}
