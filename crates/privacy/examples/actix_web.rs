//! A model of three classes, in actix-web: scores leave with noise and two decimals, and each client asks a hundred
//! different questions a day at most.
//!
//! `cargo run --example actix_web`, then the commands it prints.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::web::Data;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use privacy::distinct::{Bucket, MemoryQueryLedger, QueryBudget, QueryKey, QueryLedger, Verdict, Window};
use privacy::{Input, Perturb, PerturbError, PrivacySecret};

struct Guard {
    perturb: Perturb,
    ledger: MemoryQueryLedger,
    budget: QueryBudget,
    key: QueryKey,
}

impl Guard {
    /// All copies of a service have one secret, or their noise averages out.
    fn new(secret: &PrivacySecret) -> Result<Self, PerturbError> {
        Ok(Self {
            perturb: Perturb::builder().smooth(0.5, secret, "toy@1").decimals(2).build()?,
            ledger: MemoryQueryLedger::new(NonZeroUsize::MIN.saturating_add(9_999)),
            budget: QueryBudget::new(NonZeroU64::MIN.saturating_add(99), Window::Day),
            key: QueryKey::new(secret, "toy@1"),
        })
    }
}

/// Takes numbers parted by spaces.
async fn scores(guard: Data<Guard>, request: HttpRequest, body: String) -> HttpResponse {
    let Ok(asked) = body.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>() else {
        return HttpResponse::BadRequest().body("numbers, parted by spaces\n");
    };
    // Of whom you know by a key: an address is shared, and easily changed.
    let client = request.headers().get("x-client").and_then(|name| name.to_str().ok()).unwrap_or("nobody");
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return unavailable() };
    let buckets = [Bucket::new(client, guard.budget)];
    let queries = [guard.key.numbers(b"", &asked)];
    match guard.ledger.count(&buckets, &queries, now.as_millis() as u64).await {
        Ok(counted) if counted.verdict() == Verdict::Refused => {
            return HttpResponse::TooManyRequests().body("no more new questions today\n");
        }
        Ok(_) => {}
        // Without a ledger there is no budget.
        Err(_) => return unavailable(),
    }
    let mut row = model(&asked);
    match guard.perturb.scores(Input::Vector(&asked), &mut row) {
        Ok(()) => HttpResponse::Ok().body(format!("{row:?}\n")),
        Err(_) => unavailable(),
    }
}

fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable().body("try again later\n")
}

/// Stands for a model: softmax of three weighted sums.
fn model(asked: &[f64]) -> [f64; 3] {
    let sum = |class: f64| asked.iter().enumerate().map(|(at, value)| value * (at as f64 + class).cos()).sum::<f64>();
    let grown = [sum(0.0), sum(1.0), sum(2.0)].map(|sum| sum.clamp(-50.0, 50.0).exp());
    grown.map(|value| value / grown.iter().sum::<f64>())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let guard = Data::new(Guard::new(&PrivacySecret::from_bytes(*b"32 random bytes that are secret."))?);
    let app = move || App::new().app_data(guard.clone()).route("/scores", web::post().to(scores));
    let server = HttpServer::new(app).bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        println!("curl http://{address}/scores -H 'x-client: ann' -d '0.1 -1.2 0.7'");
        println!("for i in $(seq 101); do curl http://{address}/scores -H 'x-client: bob' -d \"$i 1 1\"; done");
    }
    Ok(server.run().await?)
}
