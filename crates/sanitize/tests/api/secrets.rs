//! Which credentials are found, and which stand-ins are not.

use proptest::prelude::*;
use sanitize::testing::suite;
use sanitize::{Action, Label, Sanitizer, Secrets, Severity};

use crate::checked_types::with_checksum;
use crate::{clean, output, single, streamed};

fn hex(length: usize) -> String {
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0".chars().cycle().take(length).collect()
}

/// Credentials of every form, put together here so that no scanner takes this file for a leak.
pub(crate) fn credentials() -> Vec<String> {
    let random = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2g3H4i5J6k7L8m9N0p1Q2";
    let body = |len: usize| &random[..len];
    vec![
        ["AKIA", "J3QWZ7T2MPL5RXKV"].concat(),
        ["ASIA", "J3QWZ7T2MPL5RXKV"].concat(),
        with_checksum("ghp_", body(30)),
        with_checksum("ghs_", body(30)),
        ["ghr_", body(76)].concat(),
        ["github_pat_", body(82)].concat(),
        ["glpat-", body(20)].concat(),
        ["glrt-", body(20)].concat(),
        ["xoxb-", body(30)].concat(),
        ["xapp-1-", body(30)].concat(),
        ["https://hooks.slack.com/services/", "T0A1B2C3D/B4E5F6G7H/", body(24)].concat(),
        ["sk_live_", body(24)].concat(),
        ["sk-proj-", body(48)].concat(),
        ["sk-", body(48)].concat(),
        ["sk-ant-api03-", body(60)].concat(),
        ["sk-or-v1-", &hex(64)].concat(),
        ["AIza", body(35)].concat(),
        ["GOCSPX-", body(28)].concat(),
        with_checksum("npm_", body(30)),
        ["pypi-AgEIcHlwaS5vcmc", body(60)].concat(),
        ["hf_", body(34)].concat(),
        ["SG.", body(22), ".", body(43)].concat(),
        ["dop_v1_", &hex(64)].concat(),
        ["dapi", &hex(32)].concat(),
        ["AccountKey=", body(84), "+/=="].concat(),
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
    let text = format!("{} {}", all[0], all[6]);
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
        "eyJub3RlIjoiYWxnIn0.eyJhIjoxfQ.abc",
        "SG.this is a sentence. GOCSPX-your-client-secret",
        "SK0f1e2d3c4b5a69788796a5b4c3d2e1f0 is a part number",
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

/// A text and the credential that only its surroundings tell.
fn told_by_surroundings() -> Vec<(String, String, &'static str)> {
    let strong = ["k9Qz", "T7vBx2", "Lw8RmN4c"].concat();
    let aws = ["wJq7rXUtnF3EMI/K7MDENG+", "bPxRfiCYz9Kq2Lm8T"].concat();
    let twilio = ["SK", &hex(32)].concat();
    let mut all: Vec<_> = [
        "password = ",
        "API_KEY=",
        "\"client_secret\": \"",
        "db.passwd: ",
        "auth-token => '",
        "accessToken:'",
        "export TOKEN=",
        "Authorization: Bearer ",
        "signingKey := `",
    ]
    .iter()
    .map(|before| (format!("é {before}"), strong.clone(), "secret.assigned"))
    .collect();
    all.push(("postgres://admin:".to_owned(), "hunter2!x".to_owned(), "secret.url_password"));
    all.push(("https://me%40here:".to_owned(), strong, "secret.url_password"));
    all.push(("AWS_SECRET_ACCESS_KEY=".to_owned(), aws.clone(), "secret.aws"));
    all.push(("aws_secret_access_key: \"".to_owned(), aws, "secret.aws"));
    all.push(("TWILIO_API_KEY=".to_owned(), twilio, "secret.assigned"));
    all
}

#[test]
fn what_surroundings_tell_is_redacted_however_it_is_cut() {
    for (before, secret, rule) in told_by_surroundings() {
        let end = match before.chars().last().unwrap() {
            _ if rule == "secret.url_password" => "@db.test/x",
            '\'' => "'",
            '"' => "\"",
            '`' => "`",
            _ => "\n",
        };
        let text = format!("{before}{secret}{end} and so on");
        let verdict = output().check(&text);
        let rules: Vec<&str> = verdict.findings().iter().map(sanitize::Finding::rule).collect();
        assert_eq!(rules, [rule], "{text}");
        let is_sure = verdict.findings()[0].severity() == Severity::High;
        assert_eq!(is_sure, rule != "secret.assigned", "{text}");
        let want = format!("{before}[redacted]{end} and so on");
        assert_eq!(verdict.into_text(), want);
        assert_eq!(streamed(&output(), single(&text)).unwrap(), want, "{text}");
        for (cut, _) in text.char_indices() {
            assert_eq!(streamed(&output(), [&text[..cut], &text[cut..]]).unwrap(), want, "{text} cut at {cut}");
        }
    }
}

#[test]
fn what_is_assigned_and_no_credential_stays() {
    for text in [
        "password = \"changeme\"; token = \"<your-token-1234567890>\"; secret: ${SECRET_k9QzT7vBx2Lw}",
        "api_key = os.environ[\"API_KEY_9\"] token = get_token(request, 12345) password: {{ pass_k9QzT7vBx2 }}",
        "token = 123e4567-e89b-42d3-a456-426614174000",
        "public_key = k9QzT7vBx2Lw8RmN4c monkey=k9QzT7vBx2Lw8RmN4c max_tokens = 4096",
        "password: correct horse battery staple, secret = sha256-k9QzT7vBx2Lw8RmN4ck9QzT7vBx2Lw8RmN4c=",
        "integrity: k9QzT7vBx2Lw8RmN4c checksum=k9QzT7vBx2Lw8RmN4c key: k9QzT7vBx2Lw8RmN4c",
        "secret = my_module.version-2.secrets token: next-page-2024 password=xxxxxxxxxxxx1A",
        "postgres://user:password@localhost https://host:8080/path@x http://[::1]:80 a:b@c ssh://git@host:22",
        "mysql://root:${PASS}@db redis://:@cache time 12:30:45@noon",
    ] {
        assert_eq!(clean(&output(), text), text);
        assert_eq!(streamed(&output(), single(text)).unwrap(), text);
    }
}

#[test]
fn a_credential_is_told_once() {
    let text = format!("GITHUB_TOKEN={}", with_checksum("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5"));
    let verdict = output().check(&text);
    assert_eq!(verdict.findings().len(), 1);
    assert_eq!(verdict.findings()[0].rule(), "secret.github");
}

#[test]
fn the_contract_of_a_detector_is_kept() {
    let told = told_by_surroundings().into_iter().map(|(before, secret, _)| before + &secret);
    let samples: Vec<String> = credentials().into_iter().chain(told).step_by(3).collect();
    suite(Secrets::new, &samples.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

fn found(text: &str) -> Vec<String> {
    output().check(text).findings().iter().map(|finding| finding.rule().to_owned()).collect()
}

proptest! {
    #[test]
    fn a_token_with_a_checksum_is_told_by_it(body in "[0-9A-Za-z]{30}", place in 0_usize..36, off in 1_usize..62) {
        let token = with_checksum("ghp_", &body);
        prop_assume!(!token.to_lowercase().contains("xxxx"));
        prop_assert_eq!(found(&token), ["secret.github"], "{}", &token);
        let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
        let wrong: String = token.char_indices().map(|(at, ch)| match digits.iter().position(|digit| *digit == ch) {
            Some(digit) if at == place + 4 => digits[(digit + off) % 62],
            _ => ch,
        }).collect();
        prop_assert_eq!(found(&wrong), <[String; 0]>::default(), "{}", &wrong);
    }

    #[test]
    fn random_values_are_told_by_their_name(value in "[0-9A-Za-z]{24,60}") {
        prop_assume!(value[..12].bytes().any(|byte| byte.is_ascii_digit()) && !value.to_lowercase().contains("xxxx"));
        prop_assert_eq!(found(&format!("secret_key: {value}")), ["secret.assigned"]);
        prop_assert_eq!(found(&format!("secret_kiy: {value}")), <[String; 0]>::default());
    }

    #[test]
    fn a_stream_says_what_the_whole_says(
        text in "(token|pass|word|secret|=|: ?|\"|'|postgres|://|me|@|[a-zA-Z0-9]{1,30}|hf_|SG\\.|npm_|Bearer |sk-|é| |\n|\\$|<){0,16}",
        cut in 0_usize..120,
    ) {
        let whole = clean(&output(), &text);
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        prop_assert_eq!(streamed(&output(), [&text[..cut], &text[cut..]]).unwrap(), whole.clone());
        prop_assert_eq!(streamed(&output(), single(&text)).unwrap(), whole);
    }
}
