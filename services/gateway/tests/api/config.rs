//! Settings: what is wrong is named before anything starts.

use gateway::Gateway;
use gateway::config::{LOCAL, Settings};

fn wrong(text: &str) -> String {
    Settings::parse(text).expect_err(text).to_string()
}

#[tokio::test]
async fn the_shipped_files_start() {
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/cluster.toml");
    Settings::parse(&std::fs::read_to_string(cluster).unwrap()).unwrap();
    for text in ["", LOCAL] {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::parse(text).unwrap();
        settings.server.listen.set_port(0);
        settings.server.admin_listen.set_port(0);
        settings.server.data_dir = data.path().join("data");
        assert!(Gateway::bind(settings, None).await.is_ok());
    }
}

#[test]
fn unknown_and_wrong_settings_are_named_with_the_nearest_right_one() {
    assert_eq!(
        wrong("[server]\nlisten_on = \"a\""),
        "server.listen_on: there is no such setting; did you mean listen?"
    );
    assert_eq!(wrong("[sever]\nlisten = \"a\""), "sever: there is no such setting; did you mean server?");
    let reaction = wrong("[screening.input]\ninjection = \"blok\"");
    assert_eq!(reaction, "screening.input.injection: expected one of block, redact, observe, off; did you mean block?");
    let kind = wrong("[backends.a]\nkind = \"opnai\"");
    assert_eq!(
        kind,
        "backends.a.kind: expected one of openai, vllm, sglang, llama.cpp, tgi, ollama, oip, echo; did you mean openai?"
    );
    assert_eq!(wrong("[backends.a]\nurl = \"http://a\""), "backends.a: kind is required");
    let number = wrong("[limits]\nmax_body_bytes = \"lots\"");
    assert!(number.starts_with("limits.max_body_bytes: expected"), "{number}");
    let secret = wrong("[backends.a]\nkind = \"openai\"\napi_key = [\"s3cret\"]");
    assert!(secret.starts_with("backends.a.api_key") && !secret.contains("s3cret"), "{secret}");
}

#[tokio::test]
async fn settings_that_contradict_each_other_stop_the_start() {
    let start = async |text: &str| {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::parse(text).unwrap();
        settings.server.data_dir = data.path().join("data");
        let error = Gateway::bind(settings, None).await.err().expect(text).to_string();
        assert!(!data.path().join("data").exists(), "nothing was made: {error}");
        error
    };
    let missing =
        start("[models.m]\nbackends = [\"vlm\"]\noperations = [\"chat\"]\n[backends.vllm]\nkind = \"echo\"").await;
    assert_eq!(missing, "models.m.backends: there is no backend vlm; did you mean vllm?");
    let url = start("[backends.a]\nkind = \"openai\"\nurl = \"10.0.0.1:80\"").await;
    assert_eq!(url, "backends.a.url: expected an http or https address");
    let room = start("[limits]\nmax_body_bytes = 4096\nmax_unpacked_bytes = 4096\nmax_buffered_bytes = 8192").await;
    assert_eq!(
        room,
        "limits.max_buffered_bytes: expected at least limits.max_unpacked_bytes and 131072 more, to unpack them"
    );
    let unpacked = start("[limits]\nmax_body_bytes = 4096\nmax_unpacked_bytes = 4097").await;
    assert_eq!(unpacked, "limits.max_unpacked_bytes: expected at most limits.max_body_bytes");
    let rule = start("[screening.input]\nrules = {\"override.previous-instruction\" = \"off\"}").await;
    assert!(rule.ends_with("did you mean override.previous-instructions?"), "{rule}");
    let kind =
        "[backends.a]\nkind = \"oip\"\nurl = \"http://a\"\n[models.m]\nbackends = [\"a\"]\noperations = [\"chat\"]";
    assert_eq!(start(kind).await, "models.m.operations: backend a: kind oip does infer only");
    let password = start("[backends.a]\nkind = \"openai\"\nurl = \"http://me:s3cret@a/v1\"").await;
    assert!(password.starts_with("backends.a.url: credentials") && !password.contains("s3cret"), "{password}");
    assert_eq!(start("[limits]\nmax_depth = 0").await, "limits.max_depth: expected a number of 1 or more");
    let none = start("[models.m]\nbackends = []\noperations = [\"chat\"]").await;
    assert_eq!(none, "models.m: a model needs at least one backend");
}

#[test]
fn odd_model_names_are_kept() {
    let settings =
        Settings::parse("[models.\"meta-llama/Llama-3.1-8B\"]\nbackends = [\"a\"]\noperations = [\"chat\"]").unwrap();
    assert!(settings.models.contains_key("meta-llama/Llama-3.1-8B"), "{:?}", settings.models.keys());
}

#[tokio::test]
async fn a_lost_secret_is_not_made_anew_beside_its_data() {
    for secret in ["peppers", "audit-key", "audit"] {
        let data = crate::helpers::echo().await.stop();
        let path = data.path().join(secret);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        let mut settings = Settings::parse(LOCAL).unwrap();
        settings.server.data_dir = data.path().to_owned();
        let error = Gateway::bind(settings, None).await.err().expect(secret).to_string();
        assert!(error.contains(secret) && error.contains("put it back"), "{error}");
    }
}
