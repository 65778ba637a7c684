//! Writes the table of letters that look like Latin ones, from the confusables of Unicode Technical Standard 39.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

use unicode_security::confusable_detection::skeleton;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut table = String::from("[\n");
    for ch in ('\u{80}'..=char::MAX).filter(|ch| ch.is_alphabetic()) {
        if let Some(letter) = letter(ch) {
            let _ = writeln!(table, "({ch:?}, '{letter}'),");
        }
    }
    table.push(']');
    let folder = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(folder.join("look_alikes.rs"), table)
}

/// The small Latin letter that a small letter looks like, or else its capital.
fn letter(ch: char) -> Option<char> {
    let is_small = ch.to_lowercase().eq([ch]);
    let capital = ch.to_uppercase();
    let like = alike(ch).or_else(|| if capital.len() == 1 { alike(capital.last()?) } else { None });
    like.filter(|_| is_small)
}

fn alike(ch: char) -> Option<char> {
    let one = ch.to_string();
    let mut skeleton = skeleton(&one);
    let first = skeleton.next()?.to_ascii_lowercase();
    (skeleton.next().is_none() && first.is_ascii_lowercase()).then_some(first)
}
