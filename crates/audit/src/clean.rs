//! Text that is safe to store and to show.

/// What may be stored of a text: control characters, line ends, and marks that are invisible or turn
/// the direction of writing, are written as escapes (`\n`, `\u{202e}`). At most `max_bytes` long, cut
/// between characters; tells whether it was cut. Reads no more of the text than it keeps.
pub fn clean(text: &str, max_bytes: usize) -> (String, bool) {
    let mut kept = String::with_capacity(text.len().min(max_bytes));
    // The beginning of most texts is plain to its end.
    let plain = text.bytes().take(max_bytes).take_while(|byte| (b' '..=b'~').contains(byte)).count();
    let (plain, rest) = text.split_at(plain);
    kept.push_str(plain);
    for c in rest.chars() {
        let before = kept.len();
        if is_hidden(c) {
            kept.extend(c.escape_default());
        } else {
            kept.push(c);
        }
        if kept.len() > max_bytes {
            kept.truncate(before);
            return (kept, true);
        }
    }
    (kept, false)
}

/// Controls, and Unicode's `Bidi_Control`, line and paragraph separators, zero-width characters,
/// variation selectors beyond the common ones, and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
