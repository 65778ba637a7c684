//! Certificates by ACME: issued while the gateway serves, kept, renewed; and whatever the authority does, callers are
//! served.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use gateway::Gateway;
use gateway::config::{LOCAL, Settings};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::acme_authority::{Authority, Days, Mood, shake};
use crate::acme_request::part;
use crate::helpers::{self, App};

const NAME: &str = "gateway.test";

/// A gateway that asks this authority, in a data folder that may exist.
async fn gateway(authority: &Authority, data: TempDir, more: &str) -> App {
    gateway_for(authority, data, &[NAME, "API.gateway.test"], more).await
}

async fn gateway_for(authority: &Authority, data: TempDir, names: &[&str], more: &str) -> App {
    let ca = data.path().join("authority.pem");
    std::fs::create_dir_all(data.path()).unwrap();
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(&ca, &authority.pem).unwrap();
    let (directory, ca) = (authority.directory(), ca.display());
    let app = helpers::spawn_in(
        data,
        &format!(
            "{LOCAL}\n[server.acme]\ndomains = {names:?}\nagree_to_terms = true\n\
             directory = \"{directory}\"\ndirectory_ca = \"{ca}\"\n{more}"
        ),
    )
    .await;
    authority.leads_to(app.address);
    app
}

/// What is served now.
fn served(app: &App) -> CertificateDer<'static> {
    let stream = shake(app.address, NAME, &[b"http/1.1"]).unwrap();
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A caller's request, by name, trusting the authority alone.
async fn call(app: &App, authority: &Authority) -> Option<u16> {
    let trusted = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().resolve(NAME, app.address);
    let url = format!("https://{NAME}:{}/v2/health/live", app.address.port());
    let answer = client.build().unwrap().get(url).timeout(Duration::from_secs(10)).send().await.ok()?;
    Some(answer.status().as_u16())
}

/// Waits for something that happens beside the requests; nothing tells when.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

async fn ordered(app: &App, key: &str, result: &str) -> bool {
    let metrics = app.admin_get("/metrics", key).send().await.unwrap().text().await.unwrap();
    metrics.contains(&format!("portcullis_certificates_ordered_total{{result=\"{result}\"}}"))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_while_the_gateway_serves_and_kept() {
    let authority = Authority::start();
    let account = "contact = \"operator@example.com\"\naccount_id = \"customer-7\"\naccount_key = \"c2VjcmV0LW9mLWEtY3VzdG9tZXI\"";
    let app = gateway(&authority, tempfile::tempdir().unwrap(), account).await;
    // At once, with its own; operators go on with it.
    assert_eq!(app.get("/v1/models", &app.key().await).send().await.unwrap().status(), 200);
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    let key = app.admin_key().await;
    until("it is counted", async || ordered(&app, &key, "ok").await).await;
    {
        assert_eq!(authority.counts(), (1, 1));
        let told = authority.told();
        assert_eq!(told.bad_nonces, 1);
        let account = &told.accounts[0];
        assert_eq!(account["contact"][0], "mailto:operator@example.com");
        assert_eq!(account["termsOfServiceAgreed"], true);
        let binding = part(&account["externalAccountBinding"]["protected"]);
        assert_eq!((&binding["kid"], &binding["alg"]), (&"customer-7".into(), &"HS256".into()));
    }
    let metrics = app.admin_get("/metrics", &key).send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("why=\"acme challenge\""), "who was answered was not refused: {metrics}");
    for name in ["certificate.pem", "account.json"] {
        assert_eq!(mode(&app.data().join("acme").join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&app.data().join("acme")), 0o700);
    let before = served(&app);
    let app = gateway(&authority, app.stop(), account).await;
    assert_eq!(call(&app, &authority).await, Some(200), "from the first connection on");
    assert_eq!(served(&app), before);
    assert_eq!(authority.counts(), (1, 1));
    // A file that nobody but the gateway writes keeps no operator from reloading rules; what is served stays.
    std::fs::write(app.data().join("acme/certificate.pem"), "no certificate").unwrap();
    let key = app.admin_key().await;
    for _ in 0..2 {
        let reloaded = app.admin_post("/admin/reload", &key, &serde_json::json!({})).send().await.unwrap();
        assert_eq!(reloaded.status(), 200, "{}", reloaded.text().await.unwrap());
    }
    assert_eq!(served(&app), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_end_is_renewed_with_the_same_account() {
    let authority = Authority::start();
    authority.told().times = (Days::days(70), Days::days(20));
    let app = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    let old = served(&app);
    let data = app.stop();
    authority.told().times = (Days::ZERO, Days::days(90));
    let app = gateway(&authority, data, "").await;
    until("the next one is served", async || served(&app) != old).await;
    assert_eq!(call(&app, &authority).await, Some(200));
    assert_eq!(authority.counts(), (2, 1));
    // Half of a file is none: there is another order, and callers are served with our own meanwhile.
    let data = app.stop();
    let file = data.path().join("acme/certificate.pem");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let app = gateway(&authority, data, "").await;
    assert_eq!(app.get("/v1/models", &app.key().await).send().await.unwrap().status(), 200);
    until("a whole one is served", async || call(&app, &authority).await == Some(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_authority_does_the_old_certificate_is_served() {
    let authority = Authority::start();
    authority.told().times = (Days::days(70), Days::days(20));
    let app = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    let (old, mut data) = (served(&app), app.stop());
    authority.told().times = (Days::ZERO, Days::days(90));
    for mood in [
        Some(Mood::Refuses),
        Some(Mood::Limits),
        Some(Mood::Broken),
        Some(Mood::IssuesForOthers),
        Some(Mood::IssuesForOtherKeys),
        Some(Mood::Forgets),
        // It is away.
        None,
    ] {
        match mood {
            Some(mood) => authority.told().mood = mood,
            None => authority.stop(),
        }
        let app = gateway(&authority, data, "").await;
        let key = app.admin_key().await;
        until("the attempt has failed", async || ordered(&app, &key, "failed").await).await;
        assert!(!ordered(&app, &key, "ok").await, "{mood:?}");
        assert!(!app.data().join("acme/certificate.new").exists(), "{mood:?}: a key is left");
        assert_eq!(served(&app), old, "{mood:?}");
        assert_eq!(call(&app, &authority).await, Some(200), "{mood:?}");
        let account = app.data().join("acme/account.json");
        assert_eq!(account.exists(), !matches!(mood, Some(Mood::Forgets) | None), "{mood:?}");
        data = app.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_gateway_serves() {
    let authority = Authority::start();
    // Due in some seconds: after two thirds of a minute.
    authority.told().times = (Days::seconds(34), Days::seconds(26));
    let app = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    authority.told().times = (Days::ZERO, Days::days(90));
    let old = served(&app);
    until("the next one is served", async || served(&app) != old).await;
    assert_eq!(call(&app, &authority).await, Some(200));
    assert_eq!(authority.counts(), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_another_authority_is_served_until_there_is_one_of_this() {
    let (staging, production) = (Authority::start(), Authority::start());
    let app = gateway(&staging, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&app, &staging).await == Some(200)).await;
    let data = app.stop();
    production.told().mood = Mood::Limits;
    let app = gateway(&production, data, "").await;
    let key = app.admin_key().await;
    until("the attempt has failed", async || ordered(&app, &key, "failed").await).await;
    assert_eq!(call(&app, &staging).await, Some(200));
    let data = app.stop();
    production.told().mood = Mood::Issues;
    let app = gateway(&production, data, "").await;
    until("that of the other one is served", async || call(&app, &production).await == Some(200)).await;
    assert_eq!((staging.counts(), production.counts()), ((1, 1), (2, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_authority_is_asked_for_what_cannot_be_kept() {
    let authority = Authority::start();
    let data = tempfile::tempdir().unwrap();
    // Nothing can be written where a folder stands, whoever writes.
    let stands = data.path().join("acme/certificate.part");
    std::fs::create_dir_all(&stands).unwrap();
    let app = gateway(&authority, data, "").await;
    let key = app.admin_key().await;
    until("the attempt has failed", async || ordered(&app, &key, "failed").await).await;
    assert_eq!(authority.counts(), (0, 0));
    let data = app.stop();
    std::fs::remove_dir(data.path().join("acme/certificate.part")).unwrap();
    let app = gateway(&authority, data, "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_deactivated_or_is_another_customers_is_not_used() {
    let authority = Authority::start();
    authority.told().mood = Mood::Deactivated;
    let app = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    let key = app.admin_key().await;
    until("the attempt has failed", async || ordered(&app, &key, "failed").await).await;
    assert!(!app.data().join("acme/account.json").exists());
    let data = app.stop();
    {
        let mut told = authority.told();
        told.mood = Mood::Issues;
        // Due at the next start.
        told.times = (Days::days(70), Days::days(20));
    }
    let app = gateway(&authority, data, "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    assert_eq!(authority.counts(), (2, 2));
    let data = app.stop();
    authority.told().times = (Days::ZERO, Days::days(90));
    let app = gateway(&authority, data, "account_id = \"customer-7\"\naccount_key = \"c2VjcmV0\"").await;
    until("there is another account", async || authority.counts() == (3, 3)).await;
    let key = app.admin_key().await;
    until("it is counted", async || ordered(&app, &key, "ok").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_more_names_than_the_settings_is_replaced() {
    let authority = Authority::start();
    let app = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&app, &authority).await == Some(200)).await;
    let (old, data) = (served(&app), app.stop());
    let app = gateway_for(&authority, data, &[NAME], "").await;
    until("the next one is served", async || served(&app) != old).await;
    assert_eq!(authority.counts(), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_authority_with_a_question_is_answered() {
    let authority = Authority::start();
    let asking = gateway(&authority, tempfile::tempdir().unwrap(), "").await;
    until("the certificate is served", async || call(&asking, &authority).await == Some(200)).await;
    let without = helpers::echo().await;
    for app in [&asking, &without] {
        for name in [NAME, "localhost", "other.test"] {
            assert!(shake(app.address, name, &[b"acme-tls/1"]).is_err(), "{name}");
        }
        let either = shake(app.address, NAME, &[b"acme-tls/1", b"http/1.1"]).unwrap();
        assert_eq!(either.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
}

#[tokio::test]
async fn settings_that_an_authority_would_refuse_stop_the_start() {
    for (lines, expected) in [
        ("domains = [\"*.example.com\"]", "server.acme.domains: a wildcard cannot be shown to be ours by TLS-ALPN-01"),
        ("domains = [\"192.0.2.1\"]", "server.acme.domains: expected names of hosts, not addresses"),
        ("domains = [\"a_b.example.com\"]", "server.acme.domains: expected names of hosts"),
        ("domains = [\"b\u{fc}cher.example\"]", "server.acme.domains: expected the form of the name in ASCII"),
        ("domains = [\"a.example\", \"A.example\"]", "server.acme.domains: a name stands there twice"),
        ("domains = [\"a.example\"]\ncontact = \"mailto:a@b.example\"", "server.acme.contact: expected an address"),
        (
            "domains = [\"a.example\"]\ncontact = \"a@b.example,c@d.example\"",
            "server.acme.contact: expected an address",
        ),
        ("domains = [\"a.example\"]\ndirectory = \"http://ca.example/d\"", "server.acme.directory: expected an https"),
        ("domains = [\"a.example\"]\ndirectory = \"https://u:p@ca.example/d\"", "server.acme.directory: expected an"),
        ("domains = [\"a.example\"]\ndirectory_ca = \"/nowhere\"", "server.acme.directory_ca: /nowhere: No such file"),
        ("domains = [\"a.example\"]\naccount_id = \"a\"", "server.acme.account_key: account_id and account_key go"),
        ("domains = [\"a.example\"]\naccount_key = \"YQ\"", "server.acme.account_id: account_id and account_key go"),
        (
            "domains = [\"a.example\"]\naccount_id = \"a\"\naccount_key = \"?\"",
            "server.acme.account_key: expected a key in base64url",
        ),
        (
            "domains = [\"a.example\"]\nagree_to_terms = false",
            "server.acme.agree_to_terms: set it to true once you agree to the terms of service of https://acme-v02.",
        ),
        (
            "domains = [\"a.example\"]\n[server]\ntls_cert = \"a\"\ntls_key = \"b\"",
            "server.acme.domains: tls_cert is set as well",
        ),
        (
            "domains = [\"a.example\"]\n[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\ndanger_plaintext_behind_proxy = true",
            "server.acme.domains: danger_plaintext_behind_proxy is set",
        ),
    ] {
        let agreed = if lines.contains("agree_to_terms") { "" } else { "agree_to_terms = true\n" };
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::parse(&format!("[server.acme]\n{agreed}{lines}")).unwrap();
        settings.server.data_dir = data.path().join("data");
        let error = Gateway::bind(settings, None).await.err().expect(lines).to_string();
        assert!(error.starts_with(expected), "{lines}: {error}");
        assert!(!data.path().join("data").exists(), "{lines}: something was made");
    }
}
