//! A service that does nothing unrecorded, in actix-web: a middleware makes an intent durable before the handler
//! runs, and an outcome before the answer goes out. Anybody may ask for the proof of a request.
//!
//! `cargo run --example actix_web` prints commands to try. The trail is in a temporary folder.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use audit::{AuditError, Ended, Intent, Log, Outcome, Receipt, Record, SegmentFile, SigningKey, VerifyError, clean};

/// How many there were: with the time, the id of a request.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// The trail, for reading.
#[derive(Clone)]
struct Trail {
    folder: PathBuf,
    key: audit::VerifyingKey,
}

/// Nobody waits longer for the disk. The record may still become durable; what it announced does not happen.
async fn in_time(log: &Log, record: &Record) -> Result<Receipt, AuditError> {
    let done = actix_web::rt::time::timeout(Duration::from_millis(250), log.append(record)).await;
    done.unwrap_or(Err(AuditError::Unavailable))
}

async fn recorded(
    log: web::Data<Log>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = unix_millis();
    let mut intent = Intent::new(format!("{began}-{}", REQUESTS.fetch_add(1, Ordering::Relaxed)), began);
    intent.operation = clean(request.path(), 200).0;
    intent.who.address = request.peer_addr().map(|peer| peer.ip().to_string());
    let (id, who) = (intent.request_id.clone(), intent.who.clone());
    if in_time(&log, &intent.into()).await.is_err() {
        let refusal = HttpResponse::ServiceUnavailable().body("this cannot be recorded at the moment\n");
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    let answer = next.call(request).await?;
    let mut outcome = Outcome::new(id, unix_millis());
    outcome.who = who;
    outcome.status = answer.status().as_u16();
    outcome.ended = if answer.status().is_success() { Ended::Complete } else { Ended::Failed };
    outcome.latency_ms = outcome.at.saturating_sub(began);
    if in_time(&log, &outcome.into()).await.is_err() {
        // The next start closes it as `unknown`.
        println!("an outcome was not recorded; healthy: {}", log.is_healthy());
    }
    Ok(answer.map_into_left_body())
}

async fn greet(name: web::Path<String>) -> String {
    format!("hello {name}\n")
}

/// A record as it is stored, and its proof.
async fn proof(trail: web::Data<Trail>, index: web::Path<u64>) -> Result<HttpResponse, Error> {
    let proved = web::block(move || audit::prove(&trail.folder, &trail.key, &[*index])).await?;
    Ok(match proved {
        Ok(proved) => {
            let texts = proved.iter().map(|(record, proof)| format!("{record}\n\n{proof}"));
            HttpResponse::Ok().body(texts.collect::<String>())
        }
        Err(VerifyError::NotSigned { .. } | VerifyError::Before { .. }) => HttpResponse::NotFound().finish(),
        Err(_) => HttpResponse::InternalServerError().finish(),
    })
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let folder = std::env::temp_dir().join(format!("audit-actix-{}", std::process::id()));
    let key = SigningKey::generate().map_err(std::io::Error::other)?;
    let trail = Trail { folder: folder.clone(), key: key.verifying_key() };
    let sink = SegmentFile::open(&folder).map_err(std::io::Error::other)?;
    let log = Log::open(sink, key, "example/greetings").await.map_err(std::io::Error::other)?;
    println!("curl http://127.0.0.1:8080/hello/you; sleep 1; curl http://127.0.0.1:8080/proofs/0");
    println!("key {}", trail.key);
    let (trail, shared) = (web::Data::new(trail), web::Data::new(log.clone()));
    HttpServer::new(move || {
        let greetings = web::scope("/hello").wrap(from_fn(recorded)).route("/{name}", web::get().to(greet));
        App::new()
            .app_data(trail.clone())
            .app_data(shared.clone())
            .service(greetings)
            .route("/proofs/{index}", web::get().to(proof))
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await?;
    log.close().await.map_err(std::io::Error::other)?;
    std::fs::remove_dir_all(folder)
}
