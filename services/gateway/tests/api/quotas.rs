//! Quotas of the settings and of keys: whose requests they count, what they count, and what they say.

use std::time::Duration;

use futures_util::StreamExt as _;
use keys::{InferenceScopes, IssueError, NewKey, Operation, Principal, Scopes, Tenant, Terms};
use serde_json::{Value, json};
use testkit::{FakeServer, RedisServer, Say};

use crate::helpers::{self, App, answer, chat, chat_answer, chunk, header, unix_millis};

pub(crate) async fn echo_with(quotas: &str) -> App {
    helpers::spawn(&format!("{}\n{quotas}", gateway::config::LOCAL)).await
}

async fn key_of(app: &App, tenant: &str) -> String {
    let scopes = InferenceScopes::new(["*".to_owned()], Operation::ALL.iter().copied()).unwrap();
    let (system, tenant) = (Principal::system(), tenant.parse::<Tenant>().unwrap());
    let made = app.issuer.add_tenant(&system, tenant.clone(), String::new(), unix_millis()).await;
    assert!(matches!(made, Ok(_) | Err(IssueError::TenantExists)), "{made:?}");
    let new = NewKey::new("a", Terms::new(Scopes::Inference(scopes))).tenant(tenant);
    app.issuer.issue(&system, new, unix_millis()).await.unwrap().secret().to_owned()
}

async fn status(app: &App, key: &str, model: &str) -> u16 {
    app.chat(key, model, "hi").await.status().as_u16()
}

/// What `/v1/limits` says is left of a quota.
pub(crate) async fn left(app: &App, key: &str, name: &str) -> u64 {
    let (_, body) = answer(app.get("/v1/limits", key).send().await.unwrap()).await;
    let quotas = body["data"].as_array().unwrap();
    let quota = quotas.iter().find(|quota| quota["name"] == name).unwrap_or_else(|| panic!("{name}: {body}"));
    quota["remaining"].as_u64().unwrap()
}

/// Waits until so much is left. Settling happens after the answer, and nothing tells when.
pub(crate) async fn until_left(app: &App, key: &str, name: &str, wanted: impl Fn(u64) -> bool) {
    for _ in 0..1_000 {
        if wanted(left(app, key, name).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name}: {} are left", left(app, key, name).await);
}

#[tokio::test]
async fn a_tenant_shares_one_quota_and_others_have_their_own() {
    let app = echo_with("[quotas.tenant-day]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"2/day\"").await;
    let (one, other) = (key_of(&app, "acme").await, key_of(&app, "acme").await);
    assert_eq!((status(&app, &one, "echo-chat").await, status(&app, &other, "echo-chat").await), (200, 200));
    let refused = app.chat(&one, "echo-chat", "hi").await;
    assert_eq!(header(&refused, "ratelimit-policy"), "\"tenant-day\";q=2;w=86400");
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() > 40_000);
    let (code, body) = answer(refused).await;
    assert_eq!((code, body["error"]["message"].as_str()), (429, Some("the quota tenant-day is used up for now")));
    let stranger = key_of(&app, "umbrella").await;
    assert_eq!(status(&app, &stranger, "echo-chat").await, 200);
    assert_eq!(left(&app, &stranger, "tenant-day").await, 1);
}

#[tokio::test]
async fn keys_families_addresses_and_everybody_are_counted_apart() {
    let app = echo_with(
        "[quotas.a-key]\nof = \"key\"\ncounts = \"requests\"\nlimit = \"100/day\"\n\
         [quotas.a-family]\nof = \"family\"\ncounts = \"requests\"\nlimit = \"101/day\"\n\
         [quotas.an-address]\nof = \"address\"\ncounts = \"requests\"\nlimit = \"102/day\"\n\
         [quotas.everybody]\nof = \"all\"\ncounts = \"requests\"\nlimit = \"103/day\"",
    )
    .await;
    let first = key_of(&app, "acme").await;
    assert_eq!(status(&app, &first, "echo-chat").await, 200);
    let (system, id) = (Principal::system(), first.get(..21).unwrap().parse().unwrap());
    let rotated = app.issuer.rotate(&system, &id, Duration::from_secs(60), unix_millis()).await;
    let second = rotated.unwrap().secret().to_owned();
    let stranger = key_of(&app, "umbrella").await;
    for (key, wanted) in [(&second, [100, 100, 101, 102]), (&stranger, [100, 101, 101, 102])] {
        for (name, wanted) in ["a-key", "a-family", "an-address", "everybody"].into_iter().zip(wanted) {
            assert_eq!(left(&app, key, name).await, wanted, "{name}");
        }
    }
}

#[tokio::test]
async fn a_quota_over_models_counts_these_together_or_each_alone() {
    let app = echo_with(
        "[models.second]\nbackends = [\"echo\"]\noperations = [\"chat\"]\n\
         [quotas.some]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"3/day\"\nmodels = [\"second\"]\n\
         [quotas.each]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"2/day\"\neach_model = true",
    )
    .await;
    let key = app.key().await;
    assert_eq!((status(&app, &key, "echo-chat").await, status(&app, &key, "echo-chat").await), (200, 200));
    let refused = answer(app.chat(&key, "echo-chat", "hi").await).await.1;
    assert_eq!(refused["error"]["message"], "the quota each is used up for now");
    assert_eq!(status(&app, &key, "second").await, 200, "another model has its own");
    let (_, body) = answer(app.get("/v1/limits", &key).send().await.unwrap()).await;
    let find = |name: &str, models: Value| {
        let quotas = body["data"].as_array().unwrap();
        quotas.iter().find(|quota| quota["name"] == name && quota["models"] == models).unwrap().clone()
    };
    assert_eq!(find("each", json!(["echo-chat"]))["remaining"], 0);
    assert_eq!(find("each", json!(["second"]))["remaining"], 1);
    let some = find("some", json!(["second"]));
    assert_eq!((&some["remaining"], &some["of"], &some["counts"]), (&json!(2), &json!("tenant"), &json!("requests")));
}

/// The model `fake` at a price, in front of a scripted server.
pub(crate) async fn priced(server: &FakeServer, more: &str) -> App {
    let url = server.url();
    let model =
        "[models.fake]\nbackends = [\"b\"]\noperations = [\"chat\"]\nprice = { input = 1000000, output = 3000000 }";
    helpers::spawn(&format!("[backends.b]\nkind = \"openai\"\nurl = \"{url}/v1\"\n{model}\n{more}")).await
}

pub(crate) async fn limited(app: &App, limits: Value) -> String {
    app.key_with(&["*"], serde_json::from_value(limits).unwrap()).await
}

async fn metrics(app: &App) -> String {
    let admin = app.admin_key().await;
    app.admin_get("/metrics", &admin).send().await.unwrap().text().await.unwrap()
}

pub(crate) fn streamed(model: &str, max_tokens: u32) -> Value {
    let mut body = chat(model, "hi");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(max_tokens);
    body
}

#[tokio::test]
async fn spend_is_reserved_by_price_and_settled_to_usage() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = priced(&server, "[quotas.money]\nof = \"tenant\"\ncounts = \"spend\"\nlimit = \"1000/day\"").await;
    let key = app.key().await;
    let mut body = chat("fake", "hello");
    body["max_tokens"] = json!(100);
    let response = app.post("/v1/chat/completions", &key).body(body.to_string()).send().await.unwrap();
    // 6 tokens to read at 1, 100 to write at 3.
    assert!(header(&response, "ratelimit").starts_with("\"money\";r=694;"), "{}", header(&response, "ratelimit"));
    // 3 were read and 5 written.
    until_left(&app, &key, "money", |left| left == 982).await;
    let metrics = metrics(&app).await;
    assert!(metrics.contains("portcullis_spend_millionths_total{model=\"fake\"} 18"), "{metrics}");
    assert!(metrics.contains("token_estimate_ratio_count{model=\"fake\",direction=\"input\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_spent_budget_is_told_so_and_nobody_asks_again() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = priced(&server, "").await;
    let key = limited(&app, json!({"budget": 30, "requests": "100/day"})).await;
    let mut body = chat("fake", "hello");
    body["max_tokens"] = json!(8);
    let (status, _) = app.ask("/v1/chat/completions", &key, &body).await;
    assert_eq!(status, 200, "6 + 3 x 8 fit just so");
    until_left(&app, &key, "budget", |left| left == 12).await;
    let refused = app.post("/v1/chat/completions", &key).body(body.to_string()).send().await.unwrap();
    assert_eq!((header(&refused, "retry-after"), header(&refused, "x-should-retry")), ("", "false"));
    let (status, body) = answer(refused).await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["type"]),
        (429, &json!("insufficient_quota"), &json!("insufficient_quota"))
    );
    assert_eq!(body["error"]["message"], "the budget budget is spent");
    assert_eq!(left(&app, &key, "requests").await, 99, "what was refused cost nothing else");
    assert!(metrics(&app).await.contains("portcullis_quota_denials_total{quota=\"budget\"} 1"));
}

#[tokio::test]
async fn spend_needs_a_price() {
    let app = helpers::echo().await;
    let key = limited(&app, json!({"spend": "1000/day"})).await;
    let (status, body) = answer(app.chat(&key, "echo-chat", "hi").await).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("not_priced")));
    let tensor = json!({"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]});
    assert_eq!(app.ask("/v2/models/echo-tensor/infer", &key, &tensor).await.0, 200, "no tokens, no price");
}

#[tokio::test]
async fn tokens_are_counted_each_way() {
    let server = FakeServer::start(Say::json(&chat_answer("hi"))).await;
    let app = priced(&server, "").await;
    let key =
        limited(&app, json!({"input_tokens": "1000/day", "output_tokens": "500/day", "tokens": "2000/day"})).await;
    let mut body = chat("fake", "hello");
    body["max_tokens"] = json!(100);
    let response = app.post("/v1/chat/completions", &key).body(body.to_string()).send().await.unwrap();
    let held = header(&response, "ratelimit").to_owned();
    for part in ["\"tokens\";r=1894;", "\"input_tokens\";r=994;", "\"output_tokens\";r=400;"] {
        assert!(held.contains(part), "{held}");
    }
    until_left(&app, &key, "tokens", |left| left == 1_992).await;
    assert_eq!((left(&app, &key, "input_tokens").await, left(&app, &key, "output_tokens").await), (997, 495));
}

#[tokio::test]
async fn estimates_follow_what_the_model_reports() {
    let text = "word ".repeat(2_000);
    let usage = "\"prompt_tokens\":3,";
    let doubled = chat_answer("hi").replace(usage, "\"prompt_tokens\":5008,");
    let server = FakeServer::start(Say::json(&doubled)).await;
    let app = priced(&server, "").await;
    let key = limited(&app, json!({"input_tokens": "1000000/total"})).await;
    let mut held = Vec::new();
    for _ in 0..12 {
        let before = left(&app, &key, "input_tokens").await;
        let response = app.chat(&key, "fake", &text).await;
        let taken = header(&response, "ratelimit").split([';', '=']).nth(2).unwrap().parse::<u64>().unwrap();
        held.push(before - taken);
        until_left(&app, &key, "input_tokens", |left| left == before - 5_008).await;
    }
    assert_eq!(held.first(), Some(&2_504), "four bytes a token");
    assert!(held.last().is_some_and(|last| (4_500..=5_008).contains(last)), "{held:?}");
}

#[tokio::test]
async fn requests_under_way_are_counted_until_they_end() {
    let server = FakeServer::start(Say::StuckEvents(vec![chunk("a")])).await;
    let app = priced(&server, "[quotas.lanes]\nof = \"all\"\ncounts = \"concurrent\"\nlimit = \"2\"").await;
    let key = limited(&app, json!({"concurrent": 1})).await;
    let body = streamed("fake", 10);
    let open = app.post("/v1/chat/completions", &key).body(body.to_string()).send().await.unwrap();
    assert_eq!(open.status(), 200);
    let refused = app.chat(&key, "fake", "hi").await;
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(answer(refused).await.1["error"]["message"], "the quota concurrent is used up for now");
    let other = app.key().await;
    let second = app.post("/v1/chat/completions", &other).body(body.to_string()).send().await.unwrap();
    assert_eq!(second.status(), 200);
    let refused = answer(app.chat(&other, "fake", "hi").await).await.1;
    assert_eq!(refused["error"]["message"], "the quota lanes is used up for now");
    drop(open);
    until_left(&app, &key, "concurrent", |left| left == 1).await;
    until_left(&app, &key, "lanes", |left| left == 1).await;
}

#[tokio::test]
async fn whoever_asks_again_at_once_finds_what_was_given_back() {
    let redis = RedisServer::start().await;
    let app = echo_with(&format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000", redis.url())).await;
    // One at a time, and the whole of the tokens for it.
    let key = limited(&app, json!({"concurrent": 1, "tokens": "1200/day"})).await;
    for n in 0..20 {
        let (status, body) = answer(app.chat(&key, "echo-chat", "hi").await).await;
        assert_eq!(status, 200, "{n}: {body}");
    }
}

#[tokio::test]
async fn a_stream_is_charged_while_it_lives() {
    let piece = "four".repeat(100);
    let server = FakeServer::start(Say::StuckEvents(vec![chunk(&piece); 20])).await;
    let app = priced(&server, "").await;
    let key = limited(&app, json!({"output_tokens": "100000/total", "spend": "100000000/total"})).await;
    let body = streamed("fake", 10).to_string();
    let open = app.post("/v1/chat/completions", &key).body(body).send().await.unwrap();
    let request_id = header(&open, "x-request-id").to_owned();
    let mut pieces = open.bytes_stream();
    assert!(pieces.next().await.is_some());
    // 2,000 tokens were seen, 10 of them were reserved.
    until_left(&app, &key, "output_tokens", |left| left == 98_000).await;
    until_left(&app, &key, "spend", |left| left == 100_000_000 - 6_005).await;
    drop(pieces);
    app.records(&request_id, 2).await;
    assert_eq!(left(&app, &key, "output_tokens").await, 98_000, "and not again at its end");
}

#[tokio::test]
async fn a_busy_server_is_left_alone_and_nobody_elses_quota_is_touched() {
    let busy = Say::Answer(429, vec![("retry-after", "600".to_owned())], b"slow down".to_vec());
    let server = FakeServer::start(busy).await;
    let quota = "[quotas.server]\nof = \"all\"\ncounts = \"requests\"\nlimit = \"100/day\"";
    let app = priced(&server, quota).await;
    let key = app.key().await;
    for _ in 0..3 {
        let refused = app.chat(&key, "fake", "hi").await;
        assert_eq!(refused.status(), 503);
        assert!((50..=60).contains(&header(&refused, "retry-after").parse::<u64>().unwrap()), "a minute at most");
    }
    assert_eq!(server.asked().len(), 1, "the server is left alone");
    until_left(&app, &key, "server", |left| left >= 99).await;
}

/// What a bucket does not hear of does not refill: a quota over some models has one of its own.
#[tokio::test]
async fn a_quota_over_some_models_refills_while_others_are_asked() {
    let app = echo_with(
        "[models.second]\nbackends = [\"echo\"]\noperations = [\"chat\"]\n\
         [quotas.some]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"2/second\"\nmodels = [\"second\"]\n\
         [quotas.any]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"1000000/day\"",
    )
    .await;
    let key = app.key().await;
    let mut refused = 0;
    while status(&app, &key, "second").await == 200 {}
    let started = std::time::Instant::now();
    while status(&app, &key, "second").await != 200 {
        assert_eq!(status(&app, &key, "echo-chat").await, 200);
        refused += 1;
        assert!(started.elapsed() < Duration::from_secs(20), "it never refills: {refused}");
    }
}

/// Nobody reads the answer, and nothing of it is asked for; it is still under way.
#[tokio::test]
async fn a_slot_is_kept_for_a_caller_who_does_not_read() {
    let text = "word ".repeat(2_000);
    let server = FakeServer::start(Say::StuckEvents(vec![chunk(&text); 2_000])).await;
    let redis = RedisServer::start().await;
    let quota = "[quotas.lanes]\nof = \"all\"\ncounts = \"concurrent\"\nlimit = \"1\"\n\
                 [screening.output]\nmax_bytes = 100000000";
    let app =
        priced(&server, &format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\n{quota}", redis.url())).await;
    let key = app.key().await;
    let body = streamed("fake", 10).to_string();
    let open = app.post("/v1/chat/completions", &key).body(body).send().await.unwrap();
    assert_eq!(open.status(), 200);
    let score = "ZRANGE portcullis:s:lanes.concurrent{:all} 0 -1 WITHSCORES";
    let before = redis.ask_lines(score).await;
    // A lease is thirty seconds, and is renewed every ten.
    for _ in 0..1_500 {
        if redis.ask_lines(score).await != before {
            assert_eq!(status(&app, &key, "fake").await, 429);
            return;
        }
        // The gateway renews by its own clock, and tells nobody.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the slot is not renewed: {before:?}");
}

#[tokio::test]
async fn a_share_that_is_used_up_is_an_outage_and_no_spent_budget() {
    let mut redis = RedisServer::start().await;
    let app =
        echo_with(&format!("[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\nreplicas = 5", redis.url())).await;
    let key = limited(&app, json!({"requests": "10/day"})).await;
    redis.kill().await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let response = app.chat(&key, "echo-chat", "hi").await;
        codes.push(header(&response, "x-error-code").to_owned());
    }
    assert_eq!(codes, ["", "", "limits_unavailable", "limits_unavailable"]);
}

#[tokio::test]
async fn a_limit_that_cannot_be_counted_is_refused_when_it_is_made() {
    let app = helpers::echo().await;
    let admin = app.admin_key().await;
    let scopes = json!({"inference": {"models": ["*"], "operations": ["chat"]}});
    for (limits, wanted) in [
        (json!({"spend": "20000000000/day"}), "limits: at most 10424999137 units fit into this window"),
        (json!({"requests": "1/hour burst 90000000000"}), "limits: at most 25019997929 units fit into this window"),
    ] {
        let form = json!({"name": "a", "scopes": scopes, "limits": limits});
        let (status, body) = answer(app.admin_post("/admin/keys", &admin, &form).send().await.unwrap()).await;
        assert_eq!((status, body["detail"].as_str()), (400, Some(wanted)), "{body}");
    }
    let large = json!({"name": "a", "scopes": scopes, "limits": {"spend": "5000000000/hour burst 6000000000"}});
    let (status, body) = answer(app.admin_post("/admin/keys", &admin, &large).send().await.unwrap()).await;
    let key = body["key"].as_str().unwrap().to_owned();
    assert_eq!((status, left(&app, &key, "spend").await), (200, 6_000_000_000), "{body}");
}

#[tokio::test]
async fn the_older_headers_are_there_when_asked_for() {
    let app = helpers::spawn(&format!("{}\n[limits]\nopenai_headers = true", gateway::config::LOCAL)).await;
    let key = limited(&app, json!({"requests": "1/day"})).await;
    let response = app.chat(&key, "echo-chat", "hi").await;
    let older = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"].map(|name| header(&response, name));
    assert_eq!(older, ["1", "0"]);
    let refused = app.chat(&key, "echo-chat", "hi").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "x-ratelimit-remaining-requests")), (429, "0"));
}

#[tokio::test]
async fn without_redis_each_gateway_lets_its_share_through() {
    let mut redis = RedisServer::start().await;
    let app = echo_with(&format!(
        "[redis]\nurl = \"{}\"\ndeadline_milliseconds = 2000\nreplicas = 4\n\
         [quotas.rate]\nof = \"tenant\"\ncounts = \"requests\"\nlimit = \"8/day\"",
        redis.url()
    ))
    .await;
    let (key, budget) = (app.key().await, limited(&app, json!({"requests": "100/total"})).await);
    assert_eq!(status(&app, &key, "echo-chat").await, 200);
    assert_eq!(status(&app, &budget, "echo-chat").await, 200);
    redis.kill().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(&app, &key, "echo-chat").await);
    }
    assert_eq!(statuses, [200, 200, 503, 503], "2 of 8 are the share of one in four");
    let (status, body) = answer(app.chat(&budget, "echo-chat", "hi").await).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("limits_unavailable")), "a budget is never given away");
    redis.restart().await;
    until_left(&app, &key, "rate", |left| left <= 6).await;
}

#[tokio::test]
async fn quotas_that_mean_nothing_stop_the_start() {
    let start = async |quota: &str| {
        let data = tempfile::tempdir().unwrap();
        let text = format!("{}\n{quota}", gateway::config::LOCAL);
        let mut settings = gateway::config::Settings::parse(&text).unwrap();
        settings.server.data_dir = data.path().join("data");
        gateway::Gateway::bind(settings, None).await.err().expect(quota).to_string()
    };
    let with = |name: &str, counts: &str, limit: &str, more: &str| {
        format!("[quotas.{name}]\nof = \"tenant\"\ncounts = \"{counts}\"\nlimit = \"{limit}\"\n{more}")
    };
    for (quota, wanted) in [
        (with("money", "spend", "5/day", ""), "quotas.money.counts: model echo-chat has no price"),
        (with("requests", "requests", "5/day", ""), "quotas.requests: a quota of keys has this name"),
        (
            with("a", "requests", "20000000000/day", ""),
            "quotas.a.limit: at most 10424999137 units fit into this window",
        ),
        (
            with("a", "requests", "5/total", "on_outage = \"share\""),
            "quotas.a.on_outage: spend and totals are not shared out: a gateway that starts anew has a whole share again",
        ),
        (with("\"A B\"", "requests", "5/day", ""), "quotas.A B: a name is 1 to 32 of a-z 0-9 - _"),
        (with("a", "concurrent", "5/day", ""), "quotas.a.limit: expected a number of 1 or more, as text"),
        (
            with("a", "requests", "0/day", ""),
            "quotas.a.limit: a rate is written like 5/second or 100/minute burst 200, with second, minute, hour, day or total",
        ),
        (
            with("a", "requests", "5/day", "models = [\"echo-chta\"]"),
            "quotas.a.models: there is no model echo-chta; did you mean echo-chat?",
        ),
        (with("a", "requests", "5/day", "on_outage = \"share\""), "quotas.a.on_outage: share needs redis.replicas"),
    ] {
        assert_eq!(start(&quota).await, wanted);
    }
    for (redis, wanted) in [
        ("url = \"redis://127.0.0.1:1\"\nprefix = \"a{b\"", "redis.prefix: expected a text without braces"),
        (
            "url = \"redis://127.0.0.1:1\"\ntls_ca = \"ca.pem\"",
            "redis.tls_ca: it says nothing to the address in redis.url",
        ),
        (
            "url = \"redis://127.0.0.1:1\"\nsentinel_password = \"a\"",
            "redis.sentinel_password: it says nothing to the address in redis.url",
        ),
        (
            "url = \"redis+sentinel://127.0.0.1:1/main\"\nsentinel_user = \"a\"",
            "redis.sentinel_user: there is no redis.sentinel_password",
        ),
        ("sentinel_user = \"a\"", "redis.sentinel_user: there is no redis.url"),
    ] {
        assert_eq!(start(&format!("[redis]\n{redis}")).await, wanted);
    }
}
