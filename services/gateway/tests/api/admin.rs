//! What operators do.

use keys::Principal;
use serde_json::json;

use crate::helpers::{self, answer, chat};

#[tokio::test]
async fn keys_are_issued_listed_rotated_and_revoked() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let form = json!({
        "name": "ci", "tenant": "acme",
        "scopes": {"inference": {"models": ["echo-*"], "operations": ["chat"]}},
        "limits": {"requests": "100/minute"},
    });
    let tenant = json!({"id": "acme", "title": "Acme Inc."});
    let made = app.admin_post("/admin/tenants", &admin, &tenant).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let (status, issued) = answer(app.admin_post("/admin/keys", &admin, &form).send().await.unwrap()).await;
    assert_eq!(status, 200, "{issued}");
    let key = issued["key"].as_str().unwrap().to_owned();
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let (_, listed) = answer(app.admin_get("/admin/keys", &admin).send().await.unwrap()).await;
    let listed = listed.to_string();
    assert!(listed.contains("acme") && !listed.contains(&key[22..]) && !listed.contains("argon2"), "{listed}");

    let id = issued["record"]["id"].as_str().unwrap();
    let rotate = format!("/admin/keys/{id}/rotate");
    let (status, rotated) =
        answer(app.admin_post(&rotate, &admin, &json!({"grace_seconds": 60})).send().await.unwrap()).await;
    assert_eq!(status, 200, "{rotated}");
    let newer = rotated["key"].as_str().unwrap().to_owned();
    for key in [&key, &newer] {
        assert_eq!(app.chat(key, "echo-chat", "hi").await.status(), 200, "both work during the grace");
    }
    let revoke = format!("/admin/keys/{id}/revoke");
    let (status, _) = answer(app.admin_post(&revoke, &admin, &json!({"family": true})).send().await.unwrap()).await;
    assert_eq!(status, 200);
    for key in [&key, &newer] {
        assert_eq!(app.chat(key, "echo-chat", "hi").await.status(), 401, "revoked at once");
    }
    let bad = app.admin_post("/admin/keys", &admin, &json!({"name": "x", "nonsense": 1})).send().await.unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn acts_are_on_record() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let form = json!({"name": "ci", "scopes": {"inference": {"models": ["*"], "operations": ["chat"]}}});
    let response = app.admin_post("/admin/keys", &admin, &form).send().await.unwrap();
    let request_id = helpers::header(&response, "x-request-id").to_owned();
    let records = app.records(&request_id, 2).await;
    assert_eq!((records[0]["detail"].as_str(), records[0]["ok"].as_bool()), (Some("asked"), Some(false)));
    let record = &records[1];
    assert_eq!((record["act"].as_str(), record["ok"].as_bool()), (Some("keys.issue"), Some(true)));
    assert_eq!(record["who"]["key_id"], json!(&admin[..21]));
    let found = app.admin_get(&format!("/admin/requests/{request_id}"), &admin).send().await.unwrap();
    assert_eq!(answer(found).await.1["records"][0]["act"], "keys.issue");
}

#[tokio::test]
async fn metrics_need_a_scope_or_a_listed_address() {
    let app = helpers::echo().await;
    let (key, admin) = (app.key().await, app.admin_key().await);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    assert_eq!(app.get("/nothing", &key).send().await.unwrap().status(), 404);
    assert_eq!(app.admin_get("/metrics", "").send().await.unwrap().status(), 401);
    assert_eq!(app.admin_get("/metrics", &key).send().await.unwrap().status(), 403);
    let text = app.admin_get("/metrics", &admin).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("portcullis_refusals_total{step=\"accept\",code=\"unknown_route\"} 1"), "{text}");
    let listed = format!("{}\n[server]\nmetrics_from = [\"127.0.0.0/8\"]", gateway::config::LOCAL);
    let app = helpers::spawn(&listed).await;
    assert_eq!(app.admin_get("/metrics", "").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_operators_routes_are_not_on_the_callers_listener() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    for path in ["/admin/keys", "/metrics", "/livez", "/readyz", "/admin/reload"] {
        assert_eq!(app.get(path, &admin).send().await.unwrap().status(), 404, "{path}");
    }
    let refused = app.admin_post("/v1/chat/completions", &admin, &chat("echo-chat", "hi")).send().await.unwrap();
    assert_eq!(refused.status(), 404);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    std::fs::remove_dir_all(app.data().join("audit")).unwrap();
    let form = json!({"name": "ci", "scopes": {"inference": {"models": ["*"], "operations": ["chat"]}}});
    let (status, body) = answer(app.admin_post("/admin/keys", &admin, &form).send().await.unwrap()).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("audit_unavailable")));
    let listed = app.issuer.list(&Principal::system(), None, None, 10, helpers::unix_millis()).await.unwrap();
    assert_eq!(listed.len(), 1, "only the admin key");
    let (status, body) = answer(app.admin_get("/admin/keys", &admin).send().await.unwrap()).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("audit_unavailable")), "nor is it shown");
    let metrics = app.admin_get("/metrics", &admin).send().await.unwrap().text().await.unwrap();
    let failures = metrics.lines().find_map(|line| line.strip_prefix("portcullis_audit_failures_total ")).unwrap();
    assert!(failures.parse::<u64>().unwrap() > 0, "{metrics}");
}

#[tokio::test]
async fn without_the_key_store_the_gateway_is_not_ready_and_known_keys_go_on() {
    let app = helpers::echo().await;
    let key = app.key().await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    std::fs::remove_file(app.data().join("keys.sqlite")).unwrap();
    assert_eq!(app.admin_get("/readyz", "").send().await.unwrap().status(), 503);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let stranger = app.chat("nonsense", "echo-chat", "hi").await;
    assert_eq!(stranger.status(), 401, "a malformed key needs no store");
}

#[tokio::test]
async fn last_use_is_noted() {
    let app = helpers::echo().await;
    let (key, admin) = (app.key().await, app.admin_key().await);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let app = helpers::spawn_in(app.stop(), gateway::config::LOCAL).await;
    let (_, listed) = answer(app.admin_get("/admin/keys", &admin).send().await.unwrap()).await;
    let used = listed["keys"].as_array().unwrap().iter().find(|record| record["id"] == json!(&key[..21])).unwrap();
    assert!(used["last_used_at"].as_u64().is_some(), "{used}");
}
