//! The order of a run: what is started, what is asked, what is compared.

use std::time::Duration;

use testkit::RedisServer;

use crate::ask::{Target, trusting};
use crate::bodies::Chat;
use crate::report::{self, Compared};
use crate::wholes::Failures;
use crate::{Arguments, Failure, bodies, cpu, servers, streams, wholes};

/// Connections, or streams, at once.
const AT_ONCE: [u32; 2] = [1, 64];

/// A model server and the ways to it.
struct Ways {
    direct: Target,
    nginx: Target,
    gateway: Target,
}

/// Runs everything and prints it.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let redis = RedisServer::start().await;
    let model = servers::model_server().await?;
    let gateway = servers::gateway(folder.path(), model.address, &redis.url()).await?;
    let nginx = servers::nginx(folder.path(), model.address, &gateway.tls).await?;
    let tls = trusting(&gateway.tls.join("ca.pem"))?;
    let gateway_process = gateway.server.process()?;
    let direct = Target {
        name: "direct",
        address: model.address,
        tls: None,
        key: gateway.key.as_str().into(),
        processes: vec![],
    };
    let ways = Ways {
        nginx: Target {
            name: "nginx",
            address: nginx.address,
            tls: Some(tls.clone()),
            processes: cpu::family(nginx.process()?),
            ..direct.clone()
        },
        gateway: Target {
            name: "gateway",
            address: gateway.server.address,
            tls: Some(tls),
            processes: vec![gateway_process],
            ..direct.clone()
        },
        direct,
    };
    let mut compared = compare(&ways, arguments).await?;
    compared.most_resident = cpu::resident(gateway_process).ok_or("the gateway is gone")?.1;
    if arguments.only.is_none() {
        report::goals(&compared);
    }
    Ok(())
}

/// All cases, as far as they are asked for.
async fn compare(ways: &Ways, arguments: &Arguments) -> Result<Compared, Failure> {
    let phases = (Duration::from_secs(arguments.seconds.max(1).into()), arguments.rounds.max(1));
    let is_asked = |case: &str| arguments.only.as_ref().is_none_or(|only| case.contains(only));
    let (mut compared, mut count) = (Compared::default(), 0);
    report::head_of_wholes();
    for (size, body) in [("small", bodies::small()), ("64 KiB", bodies::large()), ("64 KiB new", bodies::large_new())] {
        for at_once in AT_ONCE {
            let case = format!("{size} x{at_once}");
            if is_asked(&case) {
                count += 1;
                compare_wholes(ways, &case, at_once, &body, phases, &mut compared).await?;
            }
        }
    }
    report::head_of_streams();
    for at_once in AT_ONCE {
        let case = format!("stream x{at_once}");
        if is_asked(&case) {
            count += 1;
            compare_streams(ways, &case, at_once, phases, &mut compared).await?;
        }
    }
    if count == 0 {
        return Err("there is no such case".into());
    }
    Ok(compared)
}

/// One case of whole answers: straight once, then nginx and the gateway in turn.
async fn compare_wholes(
    ways: &Ways,
    case: &str,
    at_once: u32,
    body: &Chat,
    (seconds, rounds): (Duration, usize),
    compared: &mut Compared,
) -> Result<(), Failure> {
    let ask = |target| wholes::measure(target, at_once as usize, body, seconds);
    report::wholes(case, "direct", &[ask(&ways.direct).await?]);
    let (mut nginx, mut gateway) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        nginx.push(ask(&ways.nginx).await?);
        gateway.push(ask(&ways.gateway).await?);
    }
    report::wholes(case, "nginx", &nginx);
    report::wholes(case, "gateway", &gateway);
    if at_once > 1 {
        let ratios = gateway.iter().zip(&nginx).map(|(ours, theirs)| ours.cpu / theirs.cpu);
        compared.cpu.push((case.to_owned(), report::median(ratios.collect())));
    }
    for ours in &gateway {
        compared.note(at_once, ours.resident, &ours.failures);
    }
    Ok(())
}

/// One case of streams, in the same order.
async fn compare_streams(
    ways: &Ways,
    case: &str,
    at_once: u32,
    (seconds, rounds): (Duration, usize),
    compared: &mut Compared,
) -> Result<(), Failure> {
    let body = bodies::streamed();
    let ask = |target| streams::measure(target, at_once, &body, seconds);
    report::streams(case, "direct", &[ask(&ways.direct).await?]);
    let (mut nginx, mut gateway) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        nginx.push(ask(&ways.nginx).await?);
        gateway.push(ask(&ways.gateway).await?);
    }
    report::streams(case, "nginx", &nginx);
    report::streams(case, "gateway", &gateway);
    let both = || gateway.iter().zip(&nginx);
    let total = both().map(|(ours, theirs)| report::middle(&ours.total) / (1.05 * report::middle(&theirs.total)));
    compared.streams.push((format!("{case} total"), report::median(total.collect())));
    let first = both().map(|(ours, theirs)| report::middle(&ours.first) / (report::middle(&theirs.first) + 3.0));
    compared.streams.push((format!("{case} first"), report::median(first.collect())));
    for ours in &gateway {
        compared.note(at_once, ours.resident, &ours.failures);
    }
    Ok(())
}

impl Compared {
    fn note(&mut self, at_once: u32, resident: f64, failures: &Failures) {
        self.failed += failures.values().sum::<u64>();
        if at_once > 1 {
            self.resident = self.resident.max(resident);
        }
    }
}
