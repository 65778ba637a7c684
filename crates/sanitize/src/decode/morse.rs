//! Morse code (ITU-R M.1677-1), letters and digits.

use super::Piece;

/// The shortest code that is looked into, in bytes.
const MIN_RUN: usize = 24;
/// How many bytes are looked at together.
const BLOCK: usize = 8;
/// Fewer letters are taken for rules and dots.
const MIN_LETTERS: usize = 8;

/// Letters, then digits.
const CODES: [&[u8]; 36] = [
    b".-", b"-...", b"-.-.", b"-..", b".", b"..-.", b"--.", b"....", b"..", b".---", b"-.-", b".-..", b"--", b"-.",
    b"---", b".--.", b"--.-", b".-.", b"...", b"-", b"..-", b"...-", b".--", b"-..-", b"-.--", b"--..", b"-----",
    b".----", b"..---", b"...--", b"....-", b".....", b"-....", b"--...", b"---..", b"----.",
];

/// Reads runs of dots and dashes.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut behind = 0;
    for (index, block) in bytes.as_chunks::<BLOCK>().0.iter().enumerate() {
        let at = index * BLOCK;
        if at < behind || !block.iter().fold(true, |all, byte| all & is_code(*byte)) {
            continue;
        }
        let head = bytes.get(behind..at).unwrap_or_default().iter().rev().take_while(|byte| is_code(**byte)).count();
        let tail = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is_code(**byte)).count();
        let range = at - head..at + tail;
        behind = range.end;
        let code = text.get(range.clone()).filter(|code| code.len() >= MIN_RUN);
        if let Some(text) = code.and_then(decoded) {
            pieces.push(Piece { range, text: format!(" {text} ") });
        }
    }
}

const fn is_code(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'/' | b'|' | b' ' | b'\n')
}

/// The letters; words end at a bar, a line break or more than one space. `None` if most of it is no code.
fn decoded(code: &str) -> Option<String> {
    let mut text = String::new();
    let (mut letters, mut others, mut spaces) = (0, 0, 0);
    for sign in code.split_inclusive([' ', '/', '|', '\n']) {
        let (sign, end) = sign.split_at(sign.trim_end_matches([' ', '/', '|', '\n']).len());
        if !sign.is_empty() {
            if spaces > 1 && !text.is_empty() {
                text.push(' ');
            }
            spaces = 0;
            match letter(sign.as_bytes()) {
                Some(letter) => {
                    letters += 1;
                    text.push(letter);
                }
                None => others += 1,
            }
        }
        spaces += if end == " " { 1 } else { 2 };
    }
    (letters >= MIN_LETTERS && others * 10 <= letters).then_some(text)
}

fn letter(sign: &[u8]) -> Option<char> {
    let at = CODES.iter().position(|code| *code == sign)?;
    let letters = ('a'..='z').chain('0'..='9');
    letters.into_iter().nth(at)
}
