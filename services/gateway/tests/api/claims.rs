//! Claims of privacy that mean nothing stop the start, with the reason.

use gateway::Gateway;
use gateway::config::Settings;

/// Settings that start.
const SOUND: &str = r#"
[disclosure]
secret = "thirty-two bytes, or so it seems"
[backends.a]
kind = "oip"
url = "http://a"
[backends.b]
kind = "oip"
url = "http://b"
[data_sets.patients]
budget = "1"
budget_per_key = "0.5"
danger_in_memory = true
[models.mean]
backends = ["a"]
operations = ["infer"]
[models.mean.release.aggregates]
data_set = "patients"
output = "mean"
count = 1
low = 0.0
high = 1.0
step = 0.001
mechanism = "gaussian"
rho = "0.01"
[models.vote]
backends = ["a", "b"]
operations = ["infer"]
[models.vote.release.vote]
data_set = "patients"
output = "label"
labels = ["yes", "no"]
quorum = 2
epsilon = "1"
"#;

async fn start(text: &str) -> Result<(), String> {
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings::parse(text).map_err(|error| error.to_string())?;
    settings.server.listen.set_port(0);
    settings.server.admin_listen.set_port(0);
    settings.server.data_dir = data.path().join("data");
    Gateway::bind(settings, None).await.map(drop).map_err(|error| error.to_string())
}

/// The sound settings, with something in the place of something else.
async fn wrong(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    start(&SOUND.replace(from, to)).await.expect_err(to)
}

#[tokio::test]
async fn sound_claims_start() {
    assert_eq!(start(SOUND).await, Ok(()));
    let laplace = SOUND.replace("\"gaussian\"\nrho = \"0.01\"", "\"laplace\"\nepsilon = \"0.1\"");
    assert_eq!(start(&laplace).await, Ok(()));
    let stated = SOUND.replace("rho = \"0.01\"", "rho = \"0.01\"\ndanger_sensitivity = 0.1");
    assert_eq!(start(&stated).await, Ok(()));
    let counted = format!("{SOUND}[models.vote.disclosure]\nqueries = \"100/month\"");
    assert_eq!(start(&counted).await, Ok(()));
}

#[tokio::test]
async fn budgets_that_hold_nothing_are_refused() {
    for (from, to, reason) in [
        (
            "data_set = \"patients\"\noutput = \"mean\"",
            "data_set = \"patient\"\noutput = \"mean\"",
            "models.mean.release.aggregates.data_set: there is no data set patient; did you mean patients?",
        ),
        (
            "danger_in_memory = true",
            "",
            "data_sets.patients: a restart would forget what is spent: set redis.url, or danger_in_memory",
        ),
        (
            "budget = \"1\"",
            "budget = \"lots\"",
            "data_sets.patients.budget: this is no such number of privacy, or has too many places behind the point",
        ),
        ("budget_per_key = \"0.5\"", "budget_per_key = \"0\"", "data_sets.patients: a budget is more than 0"),
        (
            "budget_per_key = \"0.5\"",
            "budget_per_key = \"1.5\"",
            "data_sets.patients.budget_per_key: a key has more than the whole budget",
        ),
        (
            "budget_per_key = \"0.5\"",
            "budget_per_key = \"0.009\"",
            "models.mean.release.aggregates: one answer costs 0.01, which is more than the budget of a key holds",
        ),
        (
            "[data_sets.patients]",
            "[data_sets.\"two words\"]",
            "data_sets.two words: a data set is named by 1 to 64 letters, digits, dots, hyphens and underscores of ASCII",
        ),
        (
            "secret = \"thirty-two bytes, or so it seems\"",
            "",
            "models.mean.release.aggregates: needs disclosure.secret_file, such as `portcullis setup` makes it as disclosure-key",
        ),
    ] {
        assert_eq!(wrong(from, to).await, reason);
    }
}

#[tokio::test]
async fn numbers_without_a_sensitivity_are_refused() {
    let at = "models.mean.release.aggregates";
    for (from, to, reason) in [
        ("high = 1.0", "high = 0.0", ".high: the range is empty or has more than 2^32 steps"),
        ("high = 1.0", "high = 0.9995", ".high: expected a number of steps"),
        ("low = 0.0", "low = -inf", ".low: expected a number of steps"),
        ("step = 0.001", "step = 0.003", ".step: expected one part of 1, such as 0.001"),
        ("step = 0.001", "step = -0.001", ".step: expected one part of 1, such as 0.001"),
        ("count = 1", "count = 0", ".count: expected 1 to 1024 numbers"),
        ("rho = \"0.01\"", "epsilon = \"1\"", ".rho: gaussian takes rho, and no epsilon"),
        ("\"gaussian\"", "\"laplace\"", ".epsilon: laplace takes epsilon, and no rho"),
        (
            "\"gaussian\"\nrho = \"0.01\"",
            "\"laplace\"\nepsilon = \"1\"\ndanger_sensitivity = 1.0",
            ".danger_sensitivity: only gaussian takes it",
        ),
        (
            "rho = \"0.01\"",
            "rho = \"0.01\"\ndanger_sensitivity = 0.0",
            ".danger_sensitivity: expected a number of more than 0",
        ),
        (
            "rho = \"0.01\"",
            "rho = \"0.01\"\ndanger_sensitivity = 1e9",
            ".danger_sensitivity: expected a number of more than 0",
        ),
        ("output = \"mean\"", "output = \"\"", ".output: there is no such output"),
    ] {
        assert_eq!(wrong(from, to).await, format!("{at}{reason}"));
    }
    assert_eq!(wrong("\"gaussian\"", "\"none\"").await, format!("{at}.mechanism: expected one of gaussian, laplace"));
}

#[tokio::test]
async fn votes_that_are_none_are_refused() {
    let at = "models.vote.release";
    for (from, to, reason) in [
        ("[\"yes\", \"no\"]", "[\"yes\", \"yes\"]", ".vote.labels: a vote has 2 to 4096 labels, each of them once"),
        ("quorum = 2", "quorum = 1", ".vote.quorum: expected 2 or more: one server is no vote"),
        ("quorum = 2", "quorum = 3", ": there are fewer servers than the quorum"),
        (
            "backends = [\"a\", \"b\"]",
            "backends = [\"a\"]",
            ": one server is no vote: what one model says depends on all of its data",
        ),
        (
            "backends = [\"a\", \"b\"]",
            "backends = [\"a\", \"a\"]",
            ".vote.quorum: two backends are the same server: an individual would change two votes",
        ),
        (
            "url = \"http://b\"",
            "url = \"http://a/\"",
            ".vote.quorum: two backends are the same server: an individual would change two votes",
        ),
        (
            "epsilon = \"1\"",
            "epsilon = \"0\"",
            ".vote.epsilon: this is no such number of privacy, or has too many places behind the point",
        ),
    ] {
        assert_eq!(wrong(from, to).await, format!("{at}{reason}"));
    }
}

#[tokio::test]
async fn claims_of_what_no_privacy_can_be_claimed_of_are_refused() {
    let echo = SOUND.replace("kind = \"oip\"\nurl = \"http://a\"", "kind = \"echo\"");
    let text = echo.replace(
        "backends = [\"a\"]\noperations = [\"infer\"]",
        "backends = [\"a\"]\noperations = [\"infer\", \"chat\"]",
    );
    assert_eq!(
        start(&text).await.unwrap_err(),
        "models.mean.release: texts and embeddings of a model may be perturbed, see disclosure, but no privacy can be claimed of them"
    );
    let perturbed = format!("{SOUND}[models.vote.disclosure]\npreset = \"labels\"");
    assert_eq!(
        start(&perturbed).await.unwrap_err(),
        "models.vote.release.vote: a released answer is not perturbed as well: of disclosure, only budgets of queries go with it"
    );
    let tensors = "inputs = [{ name = \"x\", dtype = \"FP32\", shape = [1] }]\n\
        outputs = [{ name = \"mean\", dtype = \"FP32\", shape = [1], max = 1.0 }]\n";
    let bounded = SOUND.replace("[models.mean]\n", &format!("[models.mean]\n{tensors}"));
    assert_eq!(
        start(&bounded).await.unwrap_err(),
        "models.mean.release.aggregates.output: an answer that is refused for its values tells of them: leave out what they must be"
    );
    assert_eq!(start(&bounded.replace(", max = 1.0", "")).await, Ok(()));
    let other = bounded.replace("name = \"mean\"", "name = \"means\"");
    assert_eq!(
        start(&other).await.unwrap_err(),
        "models.mean.release.aggregates.output: there is no such output; did you mean means?"
    );
    let none = format!("{SOUND}[models.more]\nbackends = [\"b\"]\noperations = [\"infer\"]\n[models.more.release]");
    assert_eq!(start(&none).await.unwrap_err(), "models.more.release: expected aggregates or vote, one of them");
    let around = format!("{SOUND}[models.raw]\nbackends = [\"b\"]\nbackend_model = \"vote\"\noperations = [\"infer\"]");
    assert_eq!(
        start(&around).await.unwrap_err(),
        "models.vote.release.vote: models.raw asks the same servers and does not spend of this data set"
    );
    let beside = format!("{SOUND}[models.raw]\nbackends = [\"b\"]\noperations = [\"infer\"]");
    assert_eq!(start(&beside).await, Ok(()), "another model of the same server");
}
