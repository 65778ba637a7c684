//! T2: certificates are exchanged under 500 handshakes a second.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, connector};
use crate::goal;

const EACH_SECOND: u64 = 500;
const SECONDS: u64 = 12;
/// How many exchanges there are meanwhile.
const EXCHANGES: u64 = 5;

/// One handshake.
struct Shake {
    began: Instant,
    /// The certificate that was shown; none if it failed.
    shown: Option<Vec<u8>>,
}

/// Writes a certificate of a new authority; gives it, and appends its authority.
fn write(folder: &Path, to: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(to, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("new-cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("new-key.pem"), key.serialize_pem()).unwrap();
}

/// As cautious programs do: each file is whole at any time, and for a moment they do not fit together.
fn put_in_place(folder: &Path) -> Instant {
    std::fs::rename(folder.join("new-cert.pem"), folder.join("cert.pem")).unwrap();
    std::fs::rename(folder.join("new-key.pem"), folder.join("key.pem")).unwrap();
    Instant::now()
}

pub(crate) async fn run() {
    let gateway = Arc::new(Gateway::start("").await);
    let folder = gateway.tls();
    let authorities: Vec<_> = (0..EXCHANGES).map(|at| folder.join(format!("ca-{at}.pem"))).collect();
    let mut trusted = vec![folder.join("ca.pem")];
    // All authorities are known from the beginning; the certificates come one by one.
    let waiting: Vec<_> = authorities
        .iter()
        .map(|authority| {
            write(&folder, authority);
            let pair = ["new-cert.pem", "new-key.pem"].map(|file| std::fs::read(folder.join(file)).unwrap());
            trusted.push(authority.clone());
            pair
        })
        .collect();
    let connector = connector(&trusted.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    let exchanging = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || {
            let pause = Duration::from_secs(SECONDS) / (u32::try_from(EXCHANGES).unwrap() + 1);
            let exchanges = waiting.into_iter().map(|[cert, key]| {
                std::thread::sleep(pause);
                std::fs::write(folder.join("new-cert.pem"), cert).unwrap();
                std::fs::write(folder.join("new-key.pem"), key).unwrap();
                put_in_place(&folder)
            });
            exchanges.collect::<Vec<Instant>>()
        }
    });
    let mut shakes = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / EACH_SECOND));
    for at in 0..EACH_SECOND * SECONDS {
        ticks.tick().await;
        let (gateway, connector) = (gateway.clone(), connector.clone());
        let from = Ipv4Addr::new(127, 1, (at / 250 % 250) as u8, (at % 250) as u8 + 1);
        shakes.spawn(async move {
            let began = Instant::now();
            let stream = gateway.secure(&connector, from, None).await.ok();
            let shown = stream.and_then(|stream| Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec()));
            Shake { began, shown }
        });
    }
    report(&shakes.join_all().await, &exchanging.await.unwrap());
}

fn report(shakes: &[Shake], exchanges: &[Instant]) {
    let failed = shakes.iter().filter(|shake| shake.shown.is_none()).count();
    let first = shakes.iter().min_by_key(|shake| shake.began).unwrap().began;
    let rate = shakes.len() as f64 / (shakes.iter().map(|shake| shake.began).max().unwrap() - first).as_secs_f64();
    // After each exchange, how long the certificate of before was still shown.
    let slowest = exchanges.iter().map(|exchange| {
        let before = shakes.iter().filter(|shake| shake.began < *exchange).max_by_key(|shake| shake.began).unwrap();
        let old = shakes.iter().filter(|shake| shake.began > *exchange && shake.shown == before.shown);
        old.map(|shake| shake.began - *exchange).max().unwrap_or_default().as_secs_f64()
    });
    let slowest = slowest.fold(0.0, f64::max);
    println!("{} handshakes, {rate:.0} a second, {} exchanges of the certificate", shakes.len(), exchanges.len());
    println!("failed {failed}, the old certificate is shown for {slowest:.3} s at most");
    goal("T2-failures", failed as f64, 0.0);
    goal("T2", if failed == 0 { slowest } else { f64::INFINITY }, 1.0);
}
