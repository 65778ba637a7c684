//! Texts from directories of this machine: real ones, with all that they share.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many letters of an honest text must stand in a row in the protected texts to call it a copy.
const SHARED: usize = 41;
/// Letters are compared in groups of this length.
const GRAM: usize = 16;

/// The texts under these paths, of at most `megabytes` together, as ASCII; what is no text is left out.
pub(crate) fn read(paths: &[String], megabytes: usize) -> Vec<String> {
    let (mut texts, mut room) = (Vec::new(), megabytes * 1_000_000);
    let mut waiting: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    while let Some(path) = waiting.pop() {
        if path.is_symlink() {
            continue;
        }
        if let Ok(entries) = fs::read_dir(&path) {
            let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            waiting.extend(entries);
        } else if let Some(text) = text(&path) {
            room = room.saturating_sub(text.len());
            if room == 0 {
                break;
            }
            texts.push(text);
        }
    }
    texts
}

fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let is_text = bytes.len() > 500 && !bytes.iter().take(4_000).any(|byte| *byte == 0);
    is_text.then(|| bytes.into_iter().filter(u8::is_ascii).map(char::from).collect())
}

/// The letters and digits of a text, in lower case.
pub(crate) fn letters(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// Which of the passages do share letters with the texts: looked up one by one, without hashes of ours.
pub(crate) fn shared(passages: &[String], texts: &[String]) -> Vec<bool> {
    let asked: HashSet<[u8; GRAM]> = passages.iter().flat_map(|passage| grams(&letters(passage))).collect();
    let mut present = HashSet::new();
    for text in texts {
        present.extend(grams(&letters(text)).into_iter().filter(|gram| asked.contains(gram)));
    }
    let is_shared = |passage: &String| {
        let mut run = 0;
        grams(&letters(passage)).iter().any(|gram| {
            run = if present.contains(gram) { run + 1 } else { 0 };
            run > SHARED - GRAM
        })
    };
    passages.iter().map(is_shared).collect()
}

fn grams(letters: &[u8]) -> Vec<[u8; GRAM]> {
    letters.array_windows().copied().collect()
}
