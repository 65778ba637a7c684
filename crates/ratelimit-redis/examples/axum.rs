//! Ten thousand tokens a minute for each API key, in axum: reserved by estimate, settled to what an answer cost.
//!
//! `cargo run --example axum`, then
//! `curl -i http://127.0.0.1:8080/ -H 'x-api-key: alice' -d 'some text'`. With `REDIS_URL` set, every process that
//! uses the same server shares the quota.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ratelimit_redis::{
    Actual, Charge, Decision, Limiter, LimiterError, MemoryLimiter, Quota, RedisConfig, RedisLimiter, rate_limit,
    retry_after,
};

const TOKENS: Quota = Quota::per_minute(NonZeroU32::new(10_000).unwrap());

async fn answer(State(limiter): State<Arc<dyn Limiter>>, headers: HeaderMap, prompt: String) -> Response {
    let key = headers.get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or("nobody");
    let bucket = format!("key:{key}");
    // A token is about four bytes; the answer may be as long as the prompt, and 500 tokens longer.
    let estimate = 500 + prompt.len() as u64 / 2;
    let held = match limiter.reserve(&[Charge::new(&bucket, "tokens", TOKENS, estimate)]).await {
        Ok(Decision::Allow(held)) => held,
        Ok(Decision::Deny(denial)) => {
            let wait = denial.retry_after().map_or(0, retry_after).to_string();
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", wait)], "too many tokens\n").into_response();
        }
        Ok(Decision::NeverFits(error)) => {
            let most = error.most();
            return (StatusCode::BAD_REQUEST, format!("at most {most} tokens at once\n")).into_response();
        }
        Err(LimiterError::Charges) => return (StatusCode::BAD_REQUEST, "the key is too long\n").into_response(),
        Err(_) => return (StatusCode::SERVICE_UNAVAILABLE, "no decision\n").into_response(),
    };
    let standings = rate_limit(held.standings());
    // Here the model would be asked.
    let answer = format!("You said: {prompt}\n");
    let cost = (prompt.len() + answer.len()) as u64 / 4;
    if limiter.settle(held, &Actual::as_charged().unit("tokens", cost)).await.is_err() {
        println!("the charge of {key} stays as it was reserved");
    }
    ([("ratelimit", standings)], answer).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limiter: Arc<dyn Limiter> = match std::env::var("REDIS_URL") {
        Ok(url) => Arc::new(RedisLimiter::connect(&RedisConfig::new(&url)).await?),
        Err(_) => Arc::new(MemoryLimiter::new()),
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 8080)).await?;
    println!("curl -i http://127.0.0.1:8080/ -H 'x-api-key: alice' -d 'some text'");
    axum::serve(listener, Router::new().route("/", post(answer)).with_state(limiter)).await?;
    Ok(())
}
