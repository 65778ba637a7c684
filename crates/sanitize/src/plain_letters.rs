//! The plain letter that a wide or capital one stands for, without slow lookups.

/// What NFKC makes of wide ASCII and of the common spaces.
pub(crate) fn narrow(ch: char) -> char {
    match ch {
        '\u{a0}' | '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(ch) - 0xfee0).unwrap_or(ch),
        _ => ch,
    }
}

/// The lower case of a letter of the common scripts, which the standard library looks up slowly.
pub(crate) fn known_letter(ch: char) -> Option<char> {
    let distance = match ch {
        'à'..='ö' | 'ø'..='ÿ' | 'α'..='ω' | 'а'..='џ' => 0,
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => 0,
        'À'..='Ö' | 'Ø'..='Þ' | 'Α'..='Ρ' | 'Σ'..='Ω' | 'А'..='Я' => 0x20,
        'Ѐ'..='Џ' => 0x50,
        // Capitals and small letters take turns.
        'Ḁ'..='ẕ' | 'Ạ'..='ỿ' => 1 - u32::from(ch) % 2,
        _ => return None,
    };
    char::from_u32(u32::from(ch) + distance)
}
