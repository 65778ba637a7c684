//! What the default actions block of texts in which nothing is wrong: the honest rows, and files and folders given on
//! the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sanitize::{Action, Mode, Sanitizer};

/// Longer files are cut, in bytes: as long a text as people send.
const LONGEST: usize = 64 * 1024;
/// Of the files below one path, so many are looked at.
const MOST_FILES: usize = 4000;

/// The texts of all files below these paths that are UTF-8, evenly picked where there are too many.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn texts(paths: &[String]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut texts = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        collect(Path::new(path), &mut files)?;
        files.sort();
        for file in files.iter().step_by(files.len() / MOST_FILES + 1) {
            let Ok(mut text) = String::from_utf8(fs::read(file)?) else { continue };
            text.truncate(text.floor_char_boundary(LONGEST));
            texts.push(text);
        }
    }
    Ok(texts)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
    } else if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    }
    Ok(())
}

/// How many of these texts are blocked, and by how many of them each rule.
pub(crate) fn blocked<'t>(
    sanitizer: &Sanitizer,
    texts: impl Iterator<Item = &'t str>,
) -> (usize, BTreeMap<String, usize>) {
    let (mut count, mut rules) = (0, BTreeMap::new());
    for text in texts {
        let verdict = sanitizer.check(text);
        if verdict.action() != Action::Block {
            continue;
        }
        count += 1;
        let blocking =
            verdict.findings().iter().filter(|one| (one.action(), one.mode()) == (Action::Block, Mode::Enforce));
        let mut names: Vec<&str> = blocking.map(|one| one.rule()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *rules.entry(name.to_owned()).or_default() += 1;
        }
    }
    (count, rules)
}
