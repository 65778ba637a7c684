//! A1, on the disk: under strace, `fdatasync` of an intent returns before the first byte of its request goes to a server, and
//! that of an outcome before a whole answer goes to its caller.

use std::process::Command;

use crate::gateway::Site;

const REQUESTS: usize = 40;
const ALONE: usize = 10;

/// Gives the count of violations.
pub(crate) async fn run() -> usize {
    let has_strace = Command::new("strace").arg("-V").output().is_ok_and(|done| done.status.success());
    assert!(has_strace, "strace is not installed; install the package of that name");
    let mut site = Site::new("").await;
    site.issue();
    let log = site.folder().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-yy", "-s", "4096", "-e", "trace=write,writev,sendto,sendmsg,fdatasync", "-o"]).arg(&log);
    let gateway = site.start_under(strace);
    // Some at once, so that batches are among them.
    for _ in 0..REQUESTS / 4 {
        let asked = (0..4).map(|at| {
            let caller = gateway.caller.clone();
            tokio::spawn(async move { caller.ask(at == 3).await })
        });
        for asked in asked.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap().map(|(status, _, _)| status), Some(200));
        }
    }
    // And some alone, so that what goes to callers is known to be theirs.
    let mut alone = Vec::new();
    for _ in 0..ALONE {
        alone.push(gateway.caller.ask(false).await.unwrap().1);
    }
    let to_callers = format!(":{}->", gateway.caller.port());
    drop(gateway);
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let asked: Vec<_> = site.whole.asked().into_iter().chain(site.streamed.asked()).collect();
    let is_durable_first = |id: &str| {
        let written = lines.iter().position(|line| is_record(line, "intent", id));
        let (Some(written), Some(sent)) = (written, sent(&lines, id)) else { return false };
        lines.get(written..sent).is_some_and(|between| between.iter().any(|line| is_synced(line)))
    };
    let ids: Vec<&str> = asked.iter().filter_map(|asked| asked.header("x-request-id")).collect();
    let late = ids.iter().filter(|id| !is_durable_first(id)).count();
    let is_early = |id: &&String| {
        let written = lines.iter().position(|line| is_record(line, "outcome", id));
        let (Some(written), Some(sent)) = (written, sent(&lines, id)) else { return true };
        let synced = lines.iter().enumerate().skip(written).find(|(_, line)| is_synced(line)).map(|(at, _)| at);
        let between = synced.and_then(|synced| lines.get(sent..synced));
        between.is_none_or(|between| between.iter().any(|line| is_sent(line) && line.contains(&to_callers)))
    };
    let early = alone.iter().filter(is_early).count();
    println!(
        "strace: of {} requests {late} were sent before fdatasync of their intent had returned; of {ALONE} answers {early} \
         before that of their outcome",
        ids.len()
    );
    late + early
}

/// The first byte of a request to a server.
fn sent(lines: &[&str], id: &str) -> Option<usize> {
    lines.iter().position(|line| line.contains("x-request-id") && line.contains(id) && is_sent(line))
}

/// A write of a record of a request to a segment; of others perhaps, too.
fn is_record(line: &str, kind: &str, id: &str) -> bool {
    line.contains(".jsonl>") && line.contains(&format!(r#"\"record\":\"{kind}\",\"request_id\":\"{id}"#))
}

/// A write to a socket.
fn is_sent(line: &str) -> bool {
    line.contains("<TCP")
}

/// That of a segment has returned; another thread may have been between its begin and its end.
fn is_synced(line: &str) -> bool {
    line.contains("fdatasync") && line.ends_with("= 0") && (line.contains(".jsonl>") || line.contains("resumed>"))
}
