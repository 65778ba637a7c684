//! Keys and tenants over the admin API, beyond the plain run of `admin`.

use keys::{AdminAct, AdminScopes, KeyLimits, Scopes};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::helpers::{self, App, answer, header};

fn ask(app: &App, method: Method, path: &str, key: &str, body: &Value) -> RequestBuilder {
    let url = format!("https://{}{path}", app.admin_address);
    app.client.request(method, url).bearer_auth(key).body(body.to_string())
}

async fn done(request: RequestBuilder) -> (u16, Value) {
    answer(request.send().await.unwrap()).await
}

fn inference() -> Value {
    json!({"name": "ci", "scopes": {"inference": {"models": ["echo-*"], "operations": ["chat"]}}})
}

async fn issued(app: &App, admin: &str, form: &Value) -> (String, String) {
    let (status, body) = done(ask(app, Method::POST, "/admin/keys", admin, form)).await;
    assert_eq!(status, 200, "{body}");
    (body["key"].as_str().unwrap().to_owned(), body["record"]["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_only_by_those_who_saw_what_was_there() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let (key, id) = issued(&app, &admin, &inference()).await;
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
    let path = format!("/admin/keys/{id}");
    let form = json!({"scopes": {"inference": {"models": ["other"], "operations": ["chat"]}}, "version": 1});
    let response = ask(&app, Method::PATCH, &path, &admin, &form).send().await.unwrap();
    let request_id = header(&response, "x-request-id").to_owned();
    let (status, changed) = answer(response).await;
    assert_eq!((status, changed["record"]["version"].as_u64()), (200, Some(2)), "{changed}");
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 404, "it no longer reaches the model");
    let act = &app.records(&request_id, 2).await[1];
    assert_eq!(act["before"]["scopes"]["inference"]["models"], json!(["echo-*"]));
    assert_eq!(act["after"]["scopes"]["inference"]["models"], json!(["other"]));
    let (status, body) = done(ask(&app, Method::PATCH, &path, &admin, &form)).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("conflict")), "version 1 is over");
    let (status, found) = done(ask(&app, Method::GET, &path, &admin, &Value::Null)).await;
    assert_eq!((status, &found["record"]), (200, &changed["record"]));
    assert!(!found.to_string().contains("argon2"));
    for (form, code) in [
        (json!({"scopes": {"admin": ["keys:read"]}}), "invalid_form"),
        (json!({"addresses": ["192.0.2.1/24"]}), "invalid_form"),
        (json!({"expires_at": 1}), "invalid_form"),
        (json!({"expires_at": 1, "expires_in_seconds": 5}), "invalid_form"),
        (json!({"name": ""}), "invalid_form"),
        (json!({"tenant": "acme"}), "invalid_form"),
        (json!({"id": "pck1_0000000000000000"}), "invalid_form"),
        (json!({"created_at": 1}), "invalid_form"),
        (json!({"family": "0000000000000000"}), "invalid_form"),
        (json!({"revoked_at": null}), "invalid_form"),
        (json!({"made_by": null}), "invalid_form"),
    ] {
        let (status, body) = done(ask(&app, Method::PATCH, &path, &admin, &form)).await;
        assert_eq!((status, body["code"].as_str()), (400, Some(code)), "{form}");
    }
    let missing = ask(&app, Method::PATCH, "/admin/keys/pck1_0000000000000000", &admin, &json!({}));
    assert_eq!(done(missing).await.0, 404);
    let (_, body) = done(ask(&app, Method::PATCH, &path, &admin, &json!({"limits": {"requests": "5/week"}}))).await;
    assert_eq!(body["detail"], "the body is not what is asked for at limits.requests (line 1, column 31)");
    let (_, body) = done(ask(&app, Method::PATCH, &path, &admin, &json!({"limits": {"d41d8cd98f00b204": 1}}))).await;
    assert_eq!(body["detail"], "the body is not what is asked for at limits (line 1, column 29)", "no input is told");
    for nothing in [json!({}), json!({"name": "ci"})] {
        let (status, same) = done(ask(&app, Method::PATCH, &path, &admin, &nothing)).await;
        assert_eq!((status, &same["record"]["version"]), (200, &json!(2)), "what changes nothing leaves the version");
    }
    for list in [json!([]), json!(["ci"]), json!(null), json!("ci")] {
        assert_eq!(done(ask(&app, Method::PATCH, &path, &admin, &list)).await.0, 400, "{list}");
    }
    let named = json!({"name": format!("for {key}")});
    assert_eq!(done(ask(&app, Method::PATCH, &path, &admin, &named)).await.0, 400, "a key is no name");
}

#[tokio::test]
async fn a_key_works_from_its_networks_only_and_the_reason_is_on_record() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let mut form = inference();
    form["addresses"] = json!(["198.51.100.0/24"]);
    let (key, id) = issued(&app, &admin, &form).await;
    let refused = app.chat(&key, "echo-chat", "hi").await;
    let request_id = header(&refused, "x-request-id").to_owned();
    let (status, body) = answer(refused).await;
    assert_eq!((status, body["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    let record = &app.records(&request_id, 1).await[0];
    assert_eq!(record["detail"], "wrong_address", "{record}");
    let path = format!("/admin/keys/{id}");
    let wider = json!({"addresses": ["198.51.100.0/24", "127.0.0.0/8", "::1"]});
    assert_eq!(done(ask(&app, Method::PATCH, &path, &admin, &wider)).await.0, 200);
    assert_eq!(app.chat(&key, "echo-chat", "hi").await.status(), 200);
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_key() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let with =
        |word: &str, form: &Value| ask(&app, Method::POST, "/admin/keys", &admin, form).header("idempotency-key", word);
    let first = done(with("a-1", &inference())).await;
    let response = with("a-1", &inference()).send().await.unwrap();
    assert_eq!(header(&response, "idempotency-replayed"), "true");
    assert_eq!(answer(response).await, first, "the very same answer");
    assert_eq!(app.chat(first.1["key"].as_str().unwrap(), "echo-chat", "hi").await.status(), 200);
    let mut other = inference();
    other["name"] = json!("another");
    let (status, body) = done(with("a-1", &other)).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_ne!(done(with("a-2", &inference())).await.1["key"], first.1["key"]);
    for bad in ["a b", &"a".repeat(256)] {
        assert_eq!(done(with(bad, &inference())).await.0, 400, "{bad}");
    }
    let twice = with("a-1", &inference()).header("idempotency-key", "a-1");
    assert_eq!(done(twice).await.0, 400, "one, not several");
    let (_, listed) = done(ask(&app, Method::GET, "/admin/keys", &admin, &Value::Null)).await;
    assert_eq!(listed["keys"].as_array().unwrap().len(), 3, "the admin key and two");
}

#[tokio::test]
async fn a_replaced_key_says_so_and_until_when() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let (key, id) = issued(&app, &admin, &inference()).await;
    assert_eq!(header(&app.chat(&key, "echo-chat", "hi").await, "deprecation"), "");
    let grace = json!({"grace_seconds": 3_600});
    let (status, rotated) = done(ask(&app, Method::POST, &format!("/admin/keys/{id}/rotate"), &admin, &grace)).await;
    assert_eq!(status, 200, "{rotated}");
    let newer = rotated["key"].as_str().unwrap();
    let now = helpers::unix_millis() / 1_000;
    let answers = [
        app.chat(&key, "echo-chat", "hi").await,
        app.chat(&key, "no-such-model", "hi").await,
        app.get("/v1/models", &key).send().await.unwrap(),
    ];
    for response in answers {
        let since: u64 = header(&response, "deprecation").strip_prefix('@').unwrap().parse().unwrap();
        assert!(since <= now && since + 60 > now, "{since}");
        let sunset = header(&response, "sunset");
        assert!(sunset.ends_with(" GMT") && sunset.len() == 29, "{sunset}");
    }
    let response = app.chat(newer, "echo-chat", "hi").await;
    assert_eq!((header(&response, "deprecation"), header(&response, "sunset")), ("", ""));
}

#[tokio::test]
async fn an_admin_of_one_tenant_sees_no_other() {
    let app = helpers::echo().await;
    let root = app.admin_key().await;
    for id in ["acme", "zeta"] {
        assert_eq!(done(ask(&app, Method::POST, "/admin/tenants", &root, &json!({"id": id}))).await.0, 200);
    }
    let mut form = inference();
    form["tenant"] = json!("zeta");
    let (theirs, their_id) = issued(&app, &root, &form).await;
    let request_id = header(&app.chat(&theirs, "echo-chat", "hi").await, "x-request-id").to_owned();
    app.records(&request_id, 2).await;
    let admin = json!({"name": "acme admin", "tenant": "acme", "scopes": {"admin": {
        "acts": ["keys:read", "keys:write", "audit:read"],
        "grants": {"models": ["echo-*"], "operations": ["chat", "embed"]},
    }}});
    let (acme, _) = issued(&app, &root, &admin).await;
    let null = Value::Null;
    for (method, path, body) in [
        (Method::GET, format!("/admin/keys/{their_id}"), &null),
        (Method::PATCH, format!("/admin/keys/{their_id}"), &json!({})),
        (Method::POST, format!("/admin/keys/{their_id}/rotate"), &json!({})),
        (Method::POST, format!("/admin/keys/{their_id}/revoke"), &json!({})),
        (Method::GET, "/admin/tenants/zeta".to_owned(), &null),
        (Method::GET, format!("/admin/requests/{request_id}"), &null),
    ] {
        let (status, body) = done(ask(&app, method.clone(), &path, &acme, body)).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("not_found")), "{method} {path}");
    }
    assert_eq!(done(ask(&app, Method::GET, &format!("/admin/requests/{request_id}"), &root, &null)).await.0, 200);
    let (_, listed) = done(ask(&app, Method::GET, "/admin/keys", &acme, &null)).await;
    assert!(listed["keys"].as_array().unwrap().iter().all(|key| key["tenant"] == "acme"), "{listed}");
    let (_, tenants) = done(ask(&app, Method::GET, "/admin/tenants", &acme, &null)).await;
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 1);
    for (form, status) in [
        (inference(), 403),
        (
            json!({"name": "x", "tenant": "acme", "scopes": {"inference": {"models": ["*"], "operations": ["chat"]}}}),
            403,
        ),
        (json!({"name": "x", "tenant": "acme", "scopes": {"admin": ["keys:read", "config:reload"]}}), 403),
        (json!({"name": "x", "tenant": "acme", "scopes": {"admin": ["keys:read"]}}), 403),
        (
            json!({"name": "x", "tenant": "acme", "scopes": {"admin": ["keys:read"],
            "inference": {"models": ["*"], "operations": ["chat"]}}}),
            400,
        ),
        (
            json!({"name": "x", "tenant": "acme", "scopes": {"inference": {"models": ["echo-*"], "operations": ["embed"]}}}),
            200,
        ),
    ] {
        assert_eq!(done(ask(&app, Method::POST, "/admin/keys", &acme, &form)).await.0, status, "{form}");
    }
    // A weaker admin ends no stronger one, but any key that infers.
    let mut strong = inference();
    strong["tenant"] = json!("acme");
    let (_, wide_id) = issued(&app, &root, &strong).await;
    strong["scopes"] = json!({"admin": ["keys:write", "tenants:all"]});
    let (_, strong_id) = issued(&app, &root, &strong).await;
    for (id, status) in [(strong_id, 403), (wide_id, 200)] {
        let path = format!("/admin/keys/{id}/revoke");
        assert_eq!(done(ask(&app, Method::POST, &path, &acme, &json!({"family": true}))).await.0, status);
    }
    assert_eq!(done(ask(&app, Method::POST, "/admin/tenants", &acme, &json!({"id": "mine"}))).await.0, 403);
    assert_eq!(done(ask(&app, Method::GET, "/admin/keys?tenant=zeta", &acme, &null)).await.0, 404);
    assert_eq!(done(ask(&app, Method::POST, "/admin/tenants/nobody/revoke", &root, &null)).await.0, 404);
    assert_eq!(done(ask(&app, Method::POST, "/admin/tenants/default/revoke", &root, &null)).await.0, 409);
    assert_eq!(done(ask(&app, Method::POST, "/admin/tenants/acme/revoke", &acme, &null)).await.0, 403);
    let response = ask(&app, Method::POST, "/admin/tenants/zeta/revoke", &root, &null).send().await.unwrap();
    let request_id = header(&response, "x-request-id").to_owned();
    let (status, revoked) = answer(response).await;
    assert_eq!((status, revoked["revoked"].as_u64()), (200, Some(1)));
    let act = &app.records(&request_id, 2).await[1];
    assert_eq!(act["after"], json!({"revoked": 1, "keys": [their_id]}), "which keys is on record");
    assert_eq!(app.chat(&theirs, "echo-chat", "hi").await.status(), 401, "at once");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    for _ in 0..4 {
        app.key().await;
    }
    let mut ids: Vec<String> = Vec::new();
    let mut path = "/admin/keys?limit=2&tenant=default".to_owned();
    loop {
        let (status, page) = done(ask(&app, Method::GET, &path, &admin, &Value::Null)).await;
        assert_eq!(status, 200, "{page}");
        ids.extend(page["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/admin/keys?tenant=default&limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted());
    for bad in ["limit=0", "limit=1001", "limit=-1", "after=x", "limit=1&limit=2", "order=id", "tenant=", "limit"] {
        let path = format!("/admin/keys?{bad}");
        assert_eq!(done(ask(&app, Method::GET, &path, &admin, &Value::Null)).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_document_says_what_the_router_does() {
    let app = helpers::echo().await;
    let reader = Scopes::Admin(AdminScopes::new([AdminAct::MetricsRead]).unwrap());
    let (admin, reader) = (app.admin_key().await, app.issue(reader, KeyLimits::default()).await);
    let path = "/admin/openapi.json";
    assert_eq!(ask(&app, Method::GET, path, "", &Value::Null).send().await.unwrap().status(), 401);
    assert_eq!(ask(&app, Method::GET, path, &app.key().await, &Value::Null).send().await.unwrap().status(), 403);
    let (status, document) = done(ask(&app, Method::GET, path, &reader, &Value::Null)).await;
    assert_eq!((status, document["openapi"].as_str().map(|version| &version[..3])), (200, Some("3.1")));

    let named: Vec<(String, &Value)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, does)| (format!("{method} {path}"), does))
        })
        .collect();
    assert_eq!(named.len(), 19);
    for (name, does) in &named {
        let (method, path) = name.split_once(' ').unwrap();
        let id = if path.contains("keys") { "pck1_0000000000000000" } else { "none" };
        let path = path.replace("{id}", id);
        let method: Method = method.to_uppercase().parse().unwrap();
        let (status, _) = ask_any(&app, &method, &path, "").await;
        assert_eq!(status == 401, does["security"].is_array(), "{name}: {status}");
        let (status, body) = ask_any(&app, &method, &path, &admin).await;
        assert!(status != 405 && !body.contains("unknown_route"), "{name}: {status} {body}");
        // What the document does not name is not there.
        for other in [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
            if !named.iter().any(|(known, _)| {
                let (method, template) = known.split_once(' ').unwrap();
                method == other.as_str().to_lowercase() && template.replace("{id}", id) == path
            }) {
                assert_eq!(ask_any(&app, &other, &path, &admin).await.0, 405, "{other} {path}");
            }
        }
    }
    // Whatever it refers to is there.
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let references: Vec<&str> =
        text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 20);
    assert!(references.iter().all(|name| schemas.contains_key(*name)), "{references:?}");
    let form = &schemas["KeyForm"];
    assert_eq!(form["required"], json!(["name", "scopes"]), "{form}");
    assert!(form["properties"]["addresses"].is_object() && form["additionalProperties"] == json!(false), "{form}");
}

async fn ask_any(app: &App, method: &Method, path: &str, key: &str) -> (u16, String) {
    let response = ask(app, method.clone(), path, key, &json!({})).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn after_the_last_admin_key_only_a_new_first_one_helps() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let revoke = format!("/admin/keys/{}/revoke", &admin[..21]);
    assert_eq!(done(ask(&app, Method::POST, &revoke, &admin, &json!({"family": true}))).await.0, 200);
    assert_eq!(done(ask(&app, Method::GET, "/admin/keys", &admin, &Value::Null)).await.0, 401);
    let first = app.issuer.bootstrap("again", helpers::unix_millis()).await.unwrap();
    assert_eq!(done(ask(&app, Method::GET, "/admin/keys", first.secret(), &Value::Null)).await.0, 200);
}

#[tokio::test]
async fn the_admin_listener_answers_no_other_site() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    for origin in ["https://evil.example", "null"] {
        let response = ask(&app, Method::GET, "/admin/keys", &admin, &Value::Null).header("origin", origin);
        let response = response.send().await.unwrap();
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
        let preflight = ask(&app, Method::OPTIONS, "/admin/keys", "", &Value::Null).header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.unwrap();
        assert_eq!((preflight.status().as_u16(), header(&preflight, "allow")), (405, "GET, HEAD, POST"));
        assert!(preflight.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    }
}

#[tokio::test]
async fn keys_that_end_soon_are_counted() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    for seconds in [3_600, 3 * 86_400, 20 * 86_400, 90 * 86_400] {
        let mut form = inference();
        form["expires_in_seconds"] = json!(seconds);
        issued(&app, &admin, &form).await;
    }
    let (_, replaced) = issued(&app, &admin, &inference()).await;
    let rotate = format!("/admin/keys/{replaced}/rotate");
    assert_eq!(done(ask(&app, Method::POST, &rotate, &admin, &json!({"grace_seconds": 60}))).await.0, 200);
    let (_, revoked) = issued(&app, &admin, &inference()).await;
    let end = json!({"expires_in_seconds": 60});
    assert_eq!(done(ask(&app, Method::PATCH, &format!("/admin/keys/{revoked}"), &admin, &end)).await.0, 200);
    assert_eq!(
        done(ask(&app, Method::POST, &format!("/admin/keys/{revoked}/revoke"), &admin, &json!({}))).await.0,
        200
    );
    // They are looked for at the start, and every hour.
    let app = helpers::spawn_in(app.stop(), gateway::config::LOCAL).await;
    for _ in 0..500 {
        let metrics =
            ask(&app, Method::GET, "/metrics", &admin, &Value::Null).send().await.unwrap().text().await.unwrap();
        let counted: Vec<&str> = metrics.lines().filter(|line| line.starts_with("portcullis_keys_ending{")).collect();
        if counted.len() == 3 {
            for expected in ["{within=\"1d\"} 2", "{within=\"7d\"} 3", "{within=\"30d\"} 4"] {
                assert!(counted.iter().any(|line| line.ends_with(expected)), "{expected}: {counted:?}");
            }
            return;
        }
        // A task of its own looks; nothing tells when it has.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("they are not counted");
}
