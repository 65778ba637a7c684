//! Texts of our own, from `lab/templates/*.txt`: one template per line, with alternatives.
//!
//! `[a|b|]` is one of its parts, also nested; `{name}` one of the parts of a list, which a line
//! `= name: a | b` of the same file defines; braces around anything else are text. `an?` becomes `a`
//! or `an`, `⟦⟧` square brackets, `\n` a new line. `@ kind` starts the templates of one kind; kinds
//! that start with `benign` are honest. Lines that start with `#` are comments.

use std::collections::BTreeMap;

use super::{FOLDS, Random};

const FILES: [(&str, &str); 13] = [
    ("override", include_str!("templates/override.txt")),
    ("jailbreak", include_str!("templates/jailbreak.txt")),
    ("extraction", include_str!("templates/extraction.txt")),
    ("indirect", include_str!("templates/indirect.txt")),
    ("tricks", include_str!("templates/tricks.txt")),
    ("languages", include_str!("templates/languages.txt")),
    ("benign-requests", include_str!("templates/benign-requests.txt")),
    ("benign-short", include_str!("templates/benign-short.txt")),
    ("benign-triggers", include_str!("templates/benign-triggers.txt")),
    ("benign-chat", include_str!("templates/benign-chat.txt")),
    ("benign-security", include_str!("templates/benign-security.txt")),
    ("benign-prompts", include_str!("templates/benign-prompts.txt")),
    ("benign-documents", include_str!("templates/benign-documents.txt")),
];

/// One line of a template file.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) file: &'static str,
    pub(crate) kind: &'static str,
    line: &'static str,
}

impl Template {
    pub(crate) fn is_attack(&self) -> bool {
        !self.kind.starts_with("benign")
    }

    /// The fold that leaves this line out.
    pub(crate) fn fold(&self) -> usize {
        crc32fast::hash(self.line.as_bytes()) as usize % FOLDS
    }
}

/// All templates and the lists they use.
#[derive(Debug)]
pub(crate) struct Templates {
    templates: Vec<Template>,
    /// By file and name.
    lists: BTreeMap<(&'static str, &'static str), Vec<&'static str>>,
}

impl Templates {
    /// # Errors
    /// If a line cannot be read or uses a list that is not there.
    pub(crate) fn new() -> Result<Self, String> {
        let mut all = Self { templates: Vec::new(), lists: BTreeMap::new() };
        for (file, text) in FILES {
            let mut kind = "";
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if let Some(list) = line.strip_prefix("= ") {
                    let (name, parts) = list.split_once(": ").ok_or(format!("{file}: {line}"))?;
                    all.lists.insert((file, name), split(parts).into_iter().map(str::trim).collect());
                } else if let Some(name) = line.strip_prefix("@ ") {
                    kind = name;
                } else {
                    all.templates.push(Template { file, kind, line });
                }
            }
        }
        for template in &all.templates {
            all.draw(template, &mut Random::new(0))?;
        }
        Ok(all)
    }

    pub(crate) fn all(&self) -> &[Template] {
        &self.templates
    }

    /// One text of a template.
    ///
    /// # Errors
    /// If brackets do not match.
    pub(crate) fn draw(&self, template: &Template, random: &mut Random) -> Result<String, String> {
        let mut out = String::new();
        self.expand(template.file, template.line, random, &mut out)?;
        for vowel in ["a", "e", "i", "o", "u", "A", "E", "I", "O", "U"] {
            out = out.replace(&format!("an? {vowel}"), &format!("an {vowel}"));
        }
        out = out.replace("an? ", "a ").replace('⟦', "[").replace('⟧', "]").replace("\\n", "\n");
        Ok(out.trim().to_owned())
    }

    fn expand(&self, file: &'static str, text: &str, random: &mut Random, out: &mut String) -> Result<(), String> {
        let mut rest = text;
        while let Some(at) = rest.find(['[', '{']) {
            let (plain, behind) = rest.split_at(at);
            out.push_str(plain);
            let list = behind.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            if let Some((list, after)) = list.and_then(|(name, after)| Some((self.lists.get(&(file, name))?, after))) {
                self.expand(file, random.pick(list).copied().unwrap_or_default(), random, out)?;
                rest = after;
            } else if let Some(after) = behind.strip_prefix('{') {
                out.push('{');
                rest = after;
            } else {
                let (inner, after) = bracket(behind).ok_or_else(|| format!("brackets in {file}: {text}"))?;
                self.expand(file, random.pick(&split(inner)).copied().unwrap_or_default(), random, out)?;
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(())
    }
}

/// What stands within the bracket that `text` starts with, and behind it.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    Some((text.get(1..end)?, text.get(end + 1..)?))
}

/// The alternatives between the bars of the outermost level.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}
