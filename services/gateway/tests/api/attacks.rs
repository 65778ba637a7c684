//! What attackers try with keys: a table for each kind, and a named test for each fault that others had.

use std::time::Duration;

use keys::{InferenceScopes, KeyId, KeyLimits, KeyStore as _, NewKey, Operation, Principal, Revoke, Scopes, Terms};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::helpers::{self, App, answer, chat, header, unix_millis};

fn post(app: &App, path: &str) -> RequestBuilder {
    let url = format!("https://{}{path}", app.address);
    app.client.post(url).header("content-type", "application/json").body(chat("echo-chat", "hi").to_string())
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn key_with(app: &App, change: impl FnOnce(Terms) -> Terms) -> String {
    let scopes = InferenceScopes::new(["*"], Operation::ALL.iter().copied()).unwrap();
    let new = NewKey::new("test", change(Terms::new(Scopes::Inference(scopes))));
    app.issuer.issue(&Principal::system(), new, unix_millis()).await.unwrap().secret().to_owned()
}

fn id_of(key: &str) -> KeyId {
    key[..21].parse().unwrap()
}

/// What is no key of ours is refused the same way, whatever it is.
#[tokio::test]
async fn texts_that_are_no_key_are_refused_alike() {
    let settings = format!("{}\n[limits]\nfailures_per_minute = 1000", gateway::config::LOCAL);
    let app = helpers::spawn(&settings).await;
    let key = app.key().await;
    let path = "/v1/chat/completions";
    let authorized = |value: String| post(&app, path).header("authorization", value);
    let mut bodies = Vec::new();
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {key}"),
        format!("bearer  {key}"),
        format!("Bearer {key},{key}"),
        format!("Bearer {key} {key}"),
        format!("Bearer {key}{key}"),
        format!("Bearer {}", &key[..81]),
        format!("Bearer {key}\tx"),
        format!("Bearer {key}%00"),
        format!("Bearer {}", key.to_uppercase()),
        format!("Bearer {}", key.replace("pck1_", "pck2_")),
        "Bearer sk-1234".to_owned(),
        "Bearer ' OR '1'='1".to_owned(),
        "Bearer *)(uid=*))(|(uid=*".to_owned(),
        "Bearer {{7*7}}${7*7}<%= 7*7 %>".to_owned(),
        "Bearer $..[?(@.id)]".to_owned(),
        "Bearer redis.call('FLUSHALL')".to_owned(),
        format!("Bearer {}", "a".repeat(8_192)),
    ] {
        let response = authorized(value.clone()).send().await.unwrap();
        let (status, body) = answer(response).await;
        assert_eq!((status, body["error"]["code"].as_str()), (401, Some("invalid_api_key")), "{value}");
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    // Bytes beyond ASCII never come as far as a key.
    for value in ["Bearer \u{ff50}ck1_", "Bearer p\u{441}k1_", "Bearer pck1_\u{200b}", "Bearer \u{202e}pck1_"] {
        let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        assert_eq!(status(post(&app, path).header("authorization", value)).await, 400);
    }
    // A bearer is a bearer in any case, and one space at the end is no part of a header's value.
    assert_eq!(status(authorized(format!("BEARER {key} "))).await, 200);
}

/// Of two keys none counts, wherever they stand.
#[tokio::test]
async fn two_keys_are_no_key() {
    let app = helpers::echo().await;
    let key = app.key().await;
    let bearer = format!("Bearer {key}");
    let twice = post(&app, "/v1/chat/completions").header("authorization", &bearer).header("authorization", &bearer);
    assert_eq!(status(twice).await, 400);
    // A key under another name is not looked at: neither does it help, nor does it hurt.
    for name in ["x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"] {
        let other = post(&app, "/v1/chat/completions").header(name, &key);
        assert_eq!(status(other).await, 401, "{name}");
        let both = post(&app, "/v1/chat/completions").header(name, "other").header("authorization", &bearer);
        assert_eq!(status(both).await, 200, "{name}");
    }
}

/// A key in the path, the query or the body opens nothing and is written down nowhere.
#[tokio::test]
async fn a_key_elsewhere_opens_nothing_and_is_not_written_down() {
    let app = helpers::echo().await;
    let (key, other) = (app.key().await, app.key().await);
    for path in [format!("/v1/chat/completions?api_key={other}"), format!("/v1/models/{other}"), format!("/{other}")] {
        assert_ne!(status(post(&app, &path)).await, 200, "{path}");
        let _ = post(&app, &path).bearer_auth(&key).send().await.unwrap();
    }
    let mut body = chat("echo-chat", "hi");
    body["api_key"] = json!(other);
    let (refused, said) = app.ask("/v1/chat/completions", &key, &body).await;
    assert_eq!(refused, 400);
    assert!(!said.to_string().contains(&other[22..65]));
    let body = chat(&other, "hi");
    assert_eq!(app.ask("/v1/chat/completions", &key, &body).await.0, 404, "as the name of a model");
    let data = app.stop();
    for entry in std::fs::read_dir(data.path().join("audit")).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!text.windows(43).any(|window| window == &other.as_bytes()[22..65]), "the trail holds the key");
    }
}

/// Each single change of a real key.
#[tokio::test]
async fn each_changed_character_is_refused() {
    let settings = format!("{}\n[limits]\nfailures_per_minute = 1000", gateway::config::LOCAL);
    let app = helpers::spawn(&settings).await;
    let key = app.key().await;
    for at in 0..key.len() {
        let mut changed = key.clone().into_bytes();
        changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(app.get("/v1/models", &changed).send().await.unwrap().status(), 401, "at {at}");
    }
    assert_eq!(app.get("/v1/models", &key).send().await.unwrap().status(), 200);
}

/// What HTTP itself cannot carry.
#[tokio::test]
async fn line_breaks_and_nul_in_a_key_break_the_request_and_nothing_else() {
    let app = helpers::echo().await;
    let key = app.key().await;
    for smuggled in ["\0", "\r\n ", "\r\n\t", "\n", "\r"] {
        let said = raw(
            &app,
            &format!("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}{smuggled}x\r\n\r\n"),
        )
        .await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400") || said.starts_with("HTTP/1.1 401"), "{said}");
    }
}

/// Sends bytes as they are over TLS and gives what comes back.
async fn raw(app: &App, text: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(app.data().join("tls/ca.pem")).unwrap();
    for certificate in rustls::pki_types::pem::PemObject::pem_slice_iter(&pem) {
        let certificate: rustls::pki_types::CertificateDer<'static> = certificate.unwrap();
        roots.add(certificate).unwrap();
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(app.address).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // A server that keeps the connection has said all there is after a while.
    let _ = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut said)).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// Expired, not yet valid, revoked, rotated in and after its grace: refused as if there were no such key.
#[tokio::test]
async fn keys_out_of_their_time_look_like_keys_that_never_were() {
    let app = helpers::echo().await;
    let (system, now) = (Principal::system(), unix_millis());
    let early = key_with(&app, |terms| terms.not_before(Some(now + 3_600_000))).await;
    let late = key_with(&app, |terms| terms.expires_at(Some(now + 1_200))).await;
    let wrong_place = {
        let networks = keys::Networks::new(["198.51.100.0/24"]).unwrap();
        key_with(&app, |terms| terms.addresses(networks)).await
    };
    let (revoked, rotated) = (app.key().await, app.key().await);
    assert_eq!(app.chat(&late, "echo-chat", "hi").await.status(), 200, "not yet over");
    app.issuer.revoke(&system, Revoke::Key(id_of(&revoked)), now).await.unwrap();
    app.issuer.rotate(&system, &id_of(&rotated), Duration::ZERO, now).await.unwrap();
    while unix_millis() < now + 1_200 {
        // The clock of the gateway is the machine's.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut seen = Vec::new();
    for key in [&early, &late, &wrong_place, &revoked, &rotated, &"nonsense".to_owned()] {
        let response = app.chat(key, "echo-chat", "hi").await;
        let mut headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        seen.push((response.status(), headers, response.bytes().await.unwrap()));
    }
    assert_eq!(seen[0].0, 401);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
}

/// Parameters that a planted row may not have. The row is unreadable, which is our fault, not the caller's.
#[tokio::test]
async fn a_planted_row_exhausts_nothing() {
    let app = helpers::echo().await;
    let (key, admin) = (app.key().await, app.admin_key().await);
    let database = app.data().join("keys.sqlite");
    for planted in ["m=4194304,t=2,p=1", "m=19456,t=4294967295,p=1", "m=8,t=1,p=1", "m=19456,t=2,p=64"] {
        let sql = format!(
            "UPDATE keys SET hash = '$argon2id$v=19${planted}$AQEBAQEBAQEBAQEBAQEBAQ$\
             AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI' WHERE id = '{}'",
            id_of(&key).as_str()
        );
        execute(&database, &sql).await;
        let (status, body) = answer(app.chat(&key, "echo-chat", "hi").await).await;
        assert_eq!((status, body["error"]["code"].as_str()), (503, Some("keys_unavailable")), "{planted}");
    }
    assert_eq!(app.admin_get("/readyz", "").send().await.unwrap().status(), 200);
    assert_eq!(app.admin_get(&format!("/admin/keys/{}", id_of(&admin)), &admin).send().await.unwrap().status(), 200);
}

async fn execute(database: &std::path::Path, sql: &str) {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let mut connection = sqlx::sqlite::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

/// A flood of garbage, and of keys that were ours and are gone: neither is hashed twice, neither hurts.
#[tokio::test]
async fn floods_of_wrong_keys_cost_no_hash() {
    let settings = format!("{}\n[limits]\nfailures_per_minute = 100000", gateway::config::LOCAL);
    let app = helpers::spawn(&settings).await;
    let (good, gone) = (app.key().await, app.key().await);
    execute(&app.data().join("keys.sqlite"), &format!("DELETE FROM keys WHERE id = '{}'", id_of(&gone).as_str())).await;
    let admin = app.admin_key().await;
    let hashes = async || {
        let metrics = app.admin_get("/metrics", &admin).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("portcullis_key_hashes_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = hashes().await;
    let mut garbage = gone.clone();
    garbage.replace_range(40..41, if &gone[40..41] == "a" { "b" } else { "a" });
    for _ in 0..100 {
        assert_eq!(app.get("/v1/models", &gone).send().await.unwrap().status(), 401);
        assert_eq!(app.get("/v1/models", &garbage).send().await.unwrap().status(), 401);
    }
    assert_eq!(hashes().await, before + 1, "one for the key that is gone, none for garbage");
    assert_eq!(app.get("/v1/models", &good).send().await.unwrap().status(), 200);
}

/// An admin key asks no model, an inference key administers nothing, and no header makes one method another.
#[tokio::test]
async fn methods_and_routes_have_no_back_door() {
    let app = helpers::echo().await;
    let (key, admin) = (app.key().await, app.admin_key().await);
    assert_eq!(app.chat(&admin, "echo-chat", "hi").await.status(), 404);
    for path in ["/admin/keys", "/admin/tenants", "/admin/openapi.json", "/metrics", "/admin/requests/x"] {
        assert_eq!(app.admin_get(path, &key).send().await.unwrap().status(), 403, "{path}");
    }
    let url = format!("https://{}/admin/keys/{}", app.admin_address, id_of(&key));
    for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let request = app.client.post(&url).bearer_auth(&admin).header(name, "PATCH").body(r#"{"name":"taken"}"#);
        assert_eq!(status(request).await, 400, "{name}");
    }
    for path in
        ["/admin/keys/", "/admin//keys", "/admin/keys/../keys", "/ADMIN/keys", "/admin/keys%2f", "/admin/%6beys"]
    {
        let asked = app.client.request(Method::GET, format!("https://{}{path}", app.admin_address)).bearer_auth(&admin);
        // The client itself resolves `..` before it asks.
        let expected = if path.contains("..") { 200 } else { 404 };
        assert_eq!(status(asked).await, expected, "{path}");
    }
}

/// The scope is of the very name that is asked for, however it is written.
#[tokio::test]
async fn tricks_with_model_names_reach_no_model() {
    let app = helpers::echo().await;
    let key = app.key_with(&["echo-embed"], KeyLimits::default()).await;
    for model in [
        "echo-chat",
        "ECHO-EMBED",
        "Echo-embed",
        "echo-embed/../echo-chat",
        "../echo-chat",
        "echo-embed\u{0}",
        "*",
        "echo-*",
        "echo-embed.",
        " echo-chat",
        "echo-embed ",
        "echo\u{2010}embed",
        "\u{ff45}cho-embed",
        "echo-chat?",
        "echo-embed,echo-chat",
        "",
    ] {
        let (status, body) = app.ask("/v1/embeddings", &key, &json!({"model": model, "input": "hi"})).await;
        assert!(status == 404 || status == 400, "{model:?}: {status} {body}");
    }
    let (status, _) = app.ask("/v1/embeddings", &key, &json!({"model": "echo-embed", "input": "hi"})).await;
    assert_eq!(status, 200);
}

/// A fault of others: the allow list was held against the body while the query chose the model.
#[tokio::test]
async fn the_query_chooses_no_model() {
    let app = helpers::echo().await;
    let key = app.key_with(&["echo-embed"], KeyLimits::default()).await;
    let body = json!({"model": "echo-embed", "input": "hi"});
    for path in ["/v1/embeddings?model=echo-chat", "/v1/embeddings?deployment=echo-chat&model=other"] {
        let (status, said) = app.ask(path, &key, &body).await;
        assert!(status == 400 || said["model"] == "echo-embed", "{path}: {said}");
    }
    let twice = r#"{"model":"echo-embed","input":"hi","model":"echo-chat"}"#;
    let response = app.post("/v1/embeddings", &key).body(twice).send().await.unwrap();
    assert_eq!(answer(response).await.1["error"]["code"], "duplicate_key");
    let response = app.post("/v2/models/echo-embed/infer?model=echo-tensor", &key).body("{}").send().await.unwrap();
    assert!(response.status().is_client_error());
}

/// A fault of others: what was cached for one key was found for another with the same beginning.
#[tokio::test]
async fn a_known_key_makes_no_other_known() {
    let app = helpers::echo().await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    for cut in [21, 22, 40, 64, 65, 76, 81] {
        let other = format!("{}{}", &key[..cut], "0".repeat(82 - cut));
        assert_eq!(app.chat(&other, "echo-chat", "hi").await.status(), 401, "the first {cut} characters");
    }
}

/// A fault of others: a 401 that names a table, and a raw key as an id in the audit trail.
#[tokio::test]
async fn a_refusal_names_nothing_of_ours() {
    let app = helpers::echo().await;
    let key = app.key().await;
    std::fs::remove_file(app.data().join("keys.sqlite")).unwrap();
    let response = app.chat(&key, "echo-chat", "hi").await;
    let request_id = header(&response, "x-request-id").to_owned();
    let (status, body) = answer(response).await;
    assert_eq!(status, 503);
    let said = body.to_string().to_lowercase();
    for word in ["sqlite", "table", "select", "keys.", "argon", "postgres", "row", ".rs", "/"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    let record = app.records(&request_id, 1).await[0].to_string();
    assert!(!record.contains(&key[22..65]), "{record}");
}

/// A fault of others: the owner was deleted and the keys lived on.
#[tokio::test]
async fn keys_end_with_their_tenant_and_with_nobody_behind_them() {
    let app = helpers::echo().await;
    let (system, now) = (Principal::system(), unix_millis());
    let acme: keys::Tenant = "acme".parse().unwrap();
    app.issuer.add_tenant(&system, acme.clone(), String::new(), now).await.unwrap();
    let scopes = Scopes::Inference(InferenceScopes::new(["*"], Operation::ALL.iter().copied()).unwrap());
    let new = NewKey::new("test", Terms::new(scopes)).tenant(acme.clone());
    let key = app.issuer.issue(&system, new, now).await.unwrap().secret().to_owned();
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    app.issuer.revoke(&system, Revoke::Tenant(acme), now).await.unwrap();
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 401);
    let store = store::SqliteStore::open(&app.data().join("keys.sqlite")).await.unwrap();
    assert!(store.find(&id_of(&key)).await.unwrap().unwrap().revoked_at.is_some());
}

/// A key that was not made here, however strong it looks, cannot be brought in.
#[tokio::test]
async fn no_key_is_imported() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    for field in ["key", "secret", "hash", "id"] {
        let mut form = json!({"name": "x", "scopes": {"inference": {"models": ["*"], "operations": ["chat"]}}});
        form[field] = json!("sk-1234");
        let (status, body) = answer(app.admin_post("/admin/keys", &admin, &form).send().await.unwrap()).await;
        assert_eq!((status, body["code"].as_str()), (400, Some("invalid_form")), "{field}");
    }
}
