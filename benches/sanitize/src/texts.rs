//! Honest texts to measure against, and texts made to be slow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Prose as people send it, some of it with numbers, names, code and a second language.
const PROSE: &[&str] = &[
    "Could you help me plan a week in Lisbon for two adults and a child? We arrive on Friday at 9:40 and would like \
     to stay near a park, not further than 20 minutes from the river.\n\n",
    "The report says that sales rose by 4.2 % in the second quarter, while the cost of transport fell. Please write \
     three paragraphs about it for readers who do not know the company, and a title.\n",
    "fn main() {\n    let names = [\"Ada\", \"Grace\"];\n    for name in names {\n        println!(\"Hello, {name}!\");\n    \
     }\n}\n\nWhy does the borrow checker accept this? I expected the array to be moved into the loop.\n",
    "My landlord wants to keep the deposit because of a stain on the carpet. It was there when we moved in, and we \
     have a photograph of it. What should the letter say, and how long does he have to answer?\n\n",
    "Summarize the meeting: Anna will send the numbers to Tom by Tuesday; the launch moves to 14 May; nobody has \
     asked the printers yet. Keep it under 60 words & use bullet points.\n",
    "Schreib mir bitte eine kurze E-Mail an die Schule: Unser Sohn ist krank und kommt frühestens am Mittwoch wieder. \
     Wir möchten wissen, welche Übungen er nachholen soll.\n\n",
];

/// So many bytes of honest text.
pub fn normal(bytes: usize) -> String {
    repeat_to(PROSE.iter().copied(), bytes)
}

/// Texts made to be slow, each of about so many bytes, with what they are.
pub fn hostile(bytes: usize) -> Vec<(&'static str, String)> {
    let many = |piece: &str| repeat_to([piece].into_iter(), bytes);
    let mut nested = normal(bytes / 3);
    while nested.len() < bytes * 3 / 4 {
        nested = STANDARD.encode(nested);
    }
    // Half of what the digits say are zeros.
    let wide: Vec<u8> = PROSE.concat().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = STANDARD.encode(wide);
    let wide: String =
        wide.as_bytes().chunks(76).flat_map(|line| line.iter().chain(b"\n")).copied().map(char::from).collect();
    let beginnings = [
        "ignore all previous ",
        "disregard any of the prior ",
        "print your full ",
        "pretend to be an ",
        "you are now ",
        "do not tell the user ",
        "send the entire ",
        "what is your ",
        "repeat everything ",
        "if you are an ai ",
    ];
    vec![
        ("one letter", many("a")),
        ("one capital", many("A")),
        ("spaces", many(" ")),
        ("base64 of base64 of prose", nested),
        ("base64 of letters", many("QUFB")),
        ("base64 of UTF-16 in lines", many(&wide)),
        ("groups of base64", many("aBcD ")),
        ("hexadecimal", many("6161")),
        ("percent of percent", many("%25")),
        ("percent chain", many("%2525252525")),
        ("\\u escapes", many("\\u0041")),
        ("\\u of backslash", many("\\u005c")),
        ("entities", many("&#38;")),
        ("open entities", many("&#")),
        ("tags", many("\u{e0041}")),
        ("selectors", many("\u{fe01}\u{e0150}")),
        ("accents on a letter", many("a\u{301}\u{323}\u{310}")),
        ("one accent", many("\u{301}")),
        ("ligatures U+FDFA", many("\u{fdfa}")),
        ("squared words", many("\u{3316}")),
        ("zero width", many("\u{200b}")),
        ("mixed scripts", many("\u{430}a")),
        ("bold letters", many("\u{1d41a}")),
        ("letters spaced apart", many("i g n o r e ")),
        ("dots between letters", many("i.g.n.")),
        ("letter a line", many("a\n")),
        ("numbers for letters", many("1gn0r3 ")),
        ("rotated words", many("vtaber ")),
        ("reversed words", many("erongi ")),
        ("Morse", many(".- -... ")),
        ("binary digits", many("01100001 ")),
        ("rule beginnings", repeat_to(beginnings.into_iter(), bytes)),
        ("one beginning", many("ignore ")),
        ("longest beginning", many("ignore all of the previous ")),
        ("AKIA", many("AKIA")),
        ("eyJ", many("eyJ")),
        ("[INST", many("[INST")),
        ("<|", many("<|")),
        ("SYSTEM", many("\nSYSTEM")),
        ("@", many("@")),
        ("a@", many("a@")),
    ]
}

/// What texts are mixed of that may be read again and again: beginnings without an end, codes that say nothing, gaps.
const PIECES: &[&str] = &[
    "aBcD",
    "QUFB",
    "AQAB",
    "aQBnAG4A",
    "00",
    "61",
    "0x61",
    "\\x61",
    "01100001",
    "00000001",
    "MFRGG",
    "%61",
    "&#x61;",
    "&#",
    "\\u00",
    ".-",
    "i",
    "i.g",
    "1gn0r3",
    "vtaber",
    "erongi",
    "ignore ",
    "=",
    "/",
    "+",
    " ",
    " ",
    "  ",
    "\n",
    ",",
    ", ",
    ":",
    "-",
    "x",
    "_",
    "pwd=qZ8+kL3/",
    "token: ",
    "eyJhbGciOiJIUzI1NiJ9.",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk",
    "PRIVATE KEY-----",
    "ghp_",
    "AKIA",
    "http://e.test/?a=bcdefghijkl",
    "![",
    "](",
    "]: ",
    "<img src=\"",
    "url(",
    "a@b.test",
    "+49 30 ",
    "4111 1111 ",
    "phone ",
    "\nSYSTEM",
    "<|",
    "[INST",
    "\u{e0041}",
    "\u{fe01}",
    "\u{301}",
    "\u{430}",
    "\u{200b}",
];

/// So many pieces of text, each mixed of two to five of the same list; the same ones every time.
pub fn mixtures(count: usize) -> Vec<String> {
    // Knuth, "The Art of Computer Programming", volume 2, 3.3.4: MMIX.
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut mixed = |_| {
        let pieces = (0..2 + next(4)).filter_map(|_| PIECES.get(next(PIECES.len())));
        pieces.copied().collect()
    };
    (0..count).map(&mut mixed).collect()
}

/// So many bytes of one piece over and over.
pub fn repeated(piece: &str, bytes: usize) -> String {
    repeat_to([piece].into_iter(), bytes)
}

fn repeat_to<'p>(pieces: impl Iterator<Item = &'p str> + Clone, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 256);
    for piece in pieces.cycle() {
        if text.len() >= bytes {
            break;
        }
        text.push_str(piece);
    }
    text.truncate(text.floor_char_boundary(bytes));
    text
}
