//! Which credentials are found, and which stand-ins are not.

use sanitize::{Action, Label, Sanitizer, Secrets};

use crate::{clean, output, single, streamed};

/// Credentials of every form, put together here so that no scanner takes this file for a leak.
fn credentials() -> Vec<String> {
    let random = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2g3H4i5J6k7L8m9N0p1Q2";
    let body = |len: usize| &random[..len];
    vec![
        ["AKIA", "J3QWZ7T2MPL5RXKV"].concat(),
        ["ASIA", "J3QWZ7T2MPL5RXKV"].concat(),
        ["ghp_", body(36)].concat(),
        ["github_pat_", body(82)].concat(),
        ["glpat-", body(20)].concat(),
        ["xoxb-", body(30)].concat(),
        ["sk_live_", body(24)].concat(),
        ["sk-proj-", body(48)].concat(),
        ["sk-", body(48)].concat(),
        ["sk-ant-api03-", body(60)].concat(),
        ["AIza", body(35)].concat(),
        ["pck1_", body(16), "_", body(60)].concat(),
        ["eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0", ".c2lnbmF0dXJl"].concat(),
        ["-----BEGIN ", "PRIVATE KEY-----\nMIIEvQIBADANBgkqhk\nabc=\n-----END PRIVATE KEY-----"].concat(),
        ["-----BEGIN PGP ", "PRIVATE KEY BLOCK-----\n\nVersion: 1\nab=\n-----END PGP PRIVATE KEY BLOCK-----"].concat(),
    ]
}

#[test]
fn every_form_is_redacted_however_it_is_cut() {
    for secret in credentials() {
        let text = format!("key=\"{secret}\" é");
        let want = "key=\"[redacted]\" é";
        assert_eq!(clean(&output(), &text), want, "{secret}");
        assert_eq!(streamed(&output(), single(&text)).unwrap(), want, "{secret}");
        for (cut, _) in text.char_indices() {
            let chunks = [&text[..cut], &text[cut..]];
            assert_eq!(streamed(&output(), chunks).unwrap(), want, "{secret} cut at {cut}");
        }
    }
}

#[test]
fn a_secret_at_the_end_of_the_text_is_redacted() {
    for secret in credentials() {
        assert_eq!(clean(&output(), &secret), "[redacted]");
        assert_eq!(streamed(&output(), single(&secret)).unwrap(), "[redacted]");
    }
}

#[test]
fn two_secrets_are_two_redactions() {
    let all = credentials();
    let text = format!("{} {}", all[0], all[4]);
    assert_eq!(clean(&output(), &text), "[redacted] [redacted]");
}

#[test]
fn stand_ins_and_look_alikes_stay() {
    let honest = [
        "glpat-XXXXXXXXXXXXXXXXXXXX",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-this-is-a-long-class-name-in-a-style-sheet-with-dashes",
        "glpat-your-token-goes-here-please",
        "AKIAJ3QWZ7T2MPL5RXKVJ3QWZ7T2MPL5RXKV",
        "monkey=AKIA public_key=eyJ",
        "xAKIAJ3QWZ7T2MPL5RXKV",
        "eyJub3QiOiJhIGhlYWRlciJ9.eyJhIjoxfQ.abc",
        "A key starts with -----BEGIN PRIVATE KEY----- and ends with a footer.",
        "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END CERTIFICATE-----",
        "risk-free desk-top task-force",
    ];
    for text in honest {
        assert_eq!(clean(&output(), text), text);
        assert_eq!(streamed(&output(), single(text)).unwrap(), text);
    }
}

#[test]
fn a_key_block_without_a_footer_swallows_the_rest_in_bounded_memory() {
    let mut stream = output().stream();
    let mut sent = stream.push("key: -----BEGIN PRIVATE KEY-----\n").unwrap();
    for _ in 0..10_000 {
        sent += &stream.push("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n").unwrap();
    }
    sent += &stream.finish().unwrap();
    assert_eq!(sent, "key: [redacted]");
}

#[test]
fn a_blocking_stream_stops_before_the_secret() {
    let sanitizer = Sanitizer::builder().detector(Secrets::new(), Action::Block).build().unwrap();
    for secret in credentials() {
        let mut stream = sanitizer.stream();
        let mut sent = stream.push("key: ").unwrap();
        let blocked = single(&secret).chain([" "]).find_map(|chunk| match stream.push(chunk) {
            Ok(part) => {
                sent += &part;
                None
            }
            Err(blocked) => Some(blocked),
        });
        assert_eq!(blocked.unwrap().finding().label(), Label::Secret, "{secret}");
        assert_eq!(sent, "key: ", "{secret}");
    }
}
