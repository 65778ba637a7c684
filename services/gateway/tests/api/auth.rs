//! Who may come in.

use keys::{KeyId, KeyLimits, Principal, Revoke};

use crate::helpers::{self, answer, chat, header, unix_millis};

#[tokio::test]
async fn all_wrong_keys_look_alike() {
    let app = helpers::echo().await;
    let revoked = app.key().await;
    let id: KeyId = revoked[..21].parse().unwrap();
    app.issuer.revoke(&Principal::system(), Revoke::Key(id), unix_millis()).await.unwrap();
    let good = app.key().await;
    let mut wrong = good.clone().into_bytes();
    wrong[30] = if wrong[30] == b'a' { b'b' } else { b'a' };
    let wrong = String::from_utf8(wrong).unwrap();
    let mut bodies = Vec::new();
    for key in [revoked.as_str(), wrong.as_str(), "nonsense", ""] {
        let response = app.chat(key, "echo-chat", "hi").await;
        assert_eq!(header(&response, "www-authenticate"), "Bearer");
        bodies.push(answer(response).await);
    }
    let missing = app.client.post(format!("https://{}/v1/chat/completions", app.address)).send().await.unwrap();
    bodies.push(answer(missing).await);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!((bodies[0].0, bodies[0].1["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    assert_eq!(app.chat(&good, "echo-chat", "hi").await.status(), 200);
}

#[tokio::test]
async fn failures_are_throttled_by_address_and_good_keys_of_it_go_on() {
    let app = helpers::spawn(&format!("{}\n[limits]\nfailures_per_minute = 3", gateway::config::LOCAL)).await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(app.chat("nonsense", "echo-chat", "hi").await.status().as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
}

#[tokio::test]
async fn admin_keys_cannot_infer_and_others_cannot_administer() {
    let app = helpers::echo().await;
    let (key, admin) = (app.key().await, app.admin_key().await);
    let (status, body) = app.ask("/v1/chat/completions", &admin, &chat("echo-chat", "hi")).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("model_not_found")));
    let response = app.admin_get("/admin/keys", &key).send().await.unwrap();
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let (status, body) = answer(response).await;
    assert_eq!((status, body["code"].as_str()), (403, Some("not_allowed")));
    assert_eq!(app.admin_get("/admin/keys", &admin).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn keys_are_stored_hashed_and_nowhere_else() {
    let app = helpers::echo().await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let secret = &key[22..];
    let data = app.stop();
    let mut files = 0;
    let mut folders = vec![data.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            let is_in = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_in, "{} holds the secret", path.display());
        }
    }
    assert!(files > 5);
    let database = std::fs::read(data.path().join("keys.sqlite")).unwrap();
    assert!(database.windows(9).any(|window| window == b"$argon2id"), "the hash is there");
}

#[tokio::test]
async fn a_key_sees_only_its_models() {
    let app = helpers::echo().await;
    let key = app.key_with(&["echo-e*"], KeyLimits::default()).await;
    let (_, models) = answer(app.get("/v1/models", &key).send().await.unwrap()).await;
    let names: Vec<&str> = models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo-embed"]);
    let out_of_scope = app.ask("/v1/chat/completions", &key, &chat("echo-chat", "hi")).await;
    let no_such = app.ask("/v1/chat/completions", &key, &chat("other", "hi")).await;
    assert_eq!(out_of_scope, no_such);
    assert_eq!(no_such.0, 404);
    for path in ["/v1/models/echo-chat", "/v2/models/echo-tensor", "/v2/models/echo-tensor/ready"] {
        assert_eq!(app.get(path, &key).send().await.unwrap().status(), 404, "{path}");
    }
}
