//! One fault in a sound document: in what it says, or in the bytes it is written with.

use bench_validate::measure::Random;

use crate::differential::documents;
use crate::differential::write::Doc;

/// Changes one value or field somewhere.
pub(crate) fn document(doc: &mut Doc, random: &mut Random) {
    let depth = random.below(7);
    descend(doc, depth, random);
}

fn descend(doc: &mut Doc, depth: usize, random: &mut Random) {
    let place = match doc {
        Doc::List(items) if depth > 0 && !items.is_empty() => {
            let place = random.below(items.len());
            items.get_mut(place)
        }
        Doc::Map(fields) if depth > 0 && !fields.is_empty() => {
            let place = random.below(fields.len());
            fields.get_mut(place).map(|(_, value)| value)
        }
        _ => None,
    };
    match place {
        Some(place) => descend(place, depth - 1, random),
        None => change(doc, random),
    }
}

fn change(doc: &mut Doc, random: &mut Random) {
    match doc {
        Doc::Map(fields) if random.is(0.8) => {
            let place = random.below(fields.len());
            match random.below(6) {
                0 if !fields.is_empty() => drop(fields.remove(place)),
                // The same key again, with another value or the same.
                1 => {
                    let Some((key, value)) = fields.get(place).cloned() else { return };
                    let value = if random.is(0.5) { value } else { documents::anything(random, 2) };
                    fields.insert(random.below(fields.len() + 1), (key, value));
                }
                2 => fields.push((documents::key(random), documents::anything(random, 3))),
                3 => {
                    let Some((key, _)) = fields.get_mut(place) else { return };
                    let letter = random.of(&["s", " ", "\0", "é", "_"]).copied().unwrap_or_default();
                    key.push_str(letter);
                }
                4 => fields.push((documents::key(random), Doc::Null)),
                _ => {
                    let Some((_, value)) = fields.get_mut(place) else { return };
                    *value = documents::anything(random, 3);
                }
            }
        }
        Doc::List(items) if random.is(0.8) => match random.below(4) {
            0 => items.clear(),
            1 => items.push(documents::anything(random, 2)),
            2 => items.extend(items.first().cloned()),
            _ => items.truncate(items.len() / 2),
        },
        other => *other = documents::anything(random, 3),
    }
}

/// Changes the bytes somewhere.
pub(crate) fn bytes(body: &mut Vec<u8>, random: &mut Random) {
    const WRONG: &[&[u8]] = &[
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"NaN",
        b"Infinity",
        b"-",
        b"+",
        b"0",
        b"1e999",
        b"1e-999",
        b"e5",
        b".",
        b"0x1",
        b"//",
        b"/**/",
        b"'",
        b"\"",
        b"\\",
        b"\\u",
        b"\\x41",
        b"\\'",
        b",",
        b",,",
        b":",
        b"[",
        b"]",
        b"{",
        b"}",
        b"null",
        b"[]",
        b"\x0b",
        b"\xc2\xa0",
        b"\n",
        b" ",
        b"\\u0000",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"-0",
        b"1E+5",
    ];
    let at = random.below(body.len() + 1);
    match random.below(7) {
        0..=2 => drop(body.splice(at..at, random.of(WRONG).copied().unwrap_or_default().iter().copied())),
        3 => body.truncate(at),
        4 => {
            let end = (at + 1 + random.below(4)).min(body.len());
            drop(body.drain(at..end));
        }
        5 => {
            if let Some(byte) = body.get_mut(at) {
                *byte = random.draw() as u8;
            }
        }
        // A piece of it again.
        _ => {
            let piece = body.get(at..(at + 1 + random.below(12)).min(body.len())).unwrap_or_default().to_vec();
            drop(body.splice(at..at, piece));
        }
    }
}
