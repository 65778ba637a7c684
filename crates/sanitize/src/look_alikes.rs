//! Letters that look like Latin ones. The long table is made at build, from the confusables of Unicode Technical
//! Standard 39; the short ones are what that standard leaves out.

/// By their code points, in order.
static CONFUSABLES: &[(char, char)] = &include!(concat!(env!("OUT_DIR"), "/look_alikes.rs"));

/// The small Latin letter that this small letter looks like, where it stands among Latin ones.
pub(crate) fn latin_look_alike(ch: char) -> Option<char> {
    common(ch).or_else(|| {
        let at = CONFUSABLES.binary_search_by_key(&ch, |(alike, _)| *alike).ok()?;
        Some(CONFUSABLES.get(at)?.1)
    })
}

/// Cyrillic and Greek letters as they are used for Latin ones, also where their small forms differ.
const fn common(ch: char) -> Option<char> {
    let latin = match ch {
        'а' | 'α' => 'a',
        'ь' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' | 'δ' => 'd',
        'е' | 'ε' => 'e',
        'ɡ' => 'g',
        'һ' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        _ => return None,
    };
    Some(latin)
}

/// The letter that a small capital, or a letter on a dark or coloured ground, is drawn for. No compatibility
/// mapping of Unicode leads from these to letters.
pub(crate) fn drawn_letter(ch: char) -> Option<char> {
    let latin = match ch {
        '\u{1f150}'..='\u{1f169}' => return nth(ch, '\u{1f150}'),
        '\u{1f170}'..='\u{1f189}' => return nth(ch, '\u{1f170}'),
        '\u{1f1e6}'..='\u{1f1ff}' => return nth(ch, '\u{1f1e6}'),
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        _ => return None,
    };
    Some(latin)
}

fn nth(ch: char, first: char) -> Option<char> {
    let place = u8::try_from(u32::from(ch) - u32::from(first)).ok()?;
    Some(char::from(b'a' + place))
}
