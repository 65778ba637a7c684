//! Ten requests a minute for each address, in actix-web: a middleware that refuses with the time to wait.
//!
//! `cargo run --example actix_web`, then `curl -i http://127.0.0.1:8080/` more than ten times. With `REDIS_URL`
//! set, every process that uses the same server shares the quota.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use ratelimit_redis::{
    Decision, Limiter, LimiterError, MemoryLimiter, OnOutage, Quota, RedisConfig, RedisLimiter, rate_limit,
    rate_limit_policy, retry_after,
};

const QUOTA: Quota = Quota::per_minute(NonZeroU32::new(10).unwrap()).on_outage(OnOutage::Deny);

async fn limit(
    limiter: web::Data<Arc<dyn Limiter>>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(peer) = request.peer_addr() else {
        return Ok(request.into_response(HttpResponse::BadRequest().finish()).map_into_right_body());
    };
    let refusal = match limiter.check(&format!("address:{}", peer.ip()), QUOTA).await {
        Ok(Decision::Allow(_)) => return Ok(next.call(request).await?.map_into_left_body()),
        Ok(Decision::Deny(denial)) => {
            let mut response = HttpResponse::TooManyRequests();
            response.insert_header(("ratelimit-policy", rate_limit_policy(denial.standings())));
            response.insert_header(("ratelimit", rate_limit(denial.standings())));
            if let Some(wait) = denial.retry_after() {
                response.insert_header(("retry-after", retry_after(wait)));
            }
            response.body("too many requests\n")
        }
        Ok(Decision::NeverFits(_)) => HttpResponse::BadRequest().body("this never fits\n"),
        Err(_) => HttpResponse::ServiceUnavailable().body("no decision\n"),
    };
    Ok(request.into_response(refusal).map_into_right_body())
}

async fn limiter() -> Result<Arc<dyn Limiter>, LimiterError> {
    Ok(match std::env::var("REDIS_URL") {
        Ok(url) => Arc::new(RedisLimiter::connect(&RedisConfig::new(&url)).await?),
        Err(_) => Arc::new(MemoryLimiter::new()),
    })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let limiter = web::Data::new(limiter().await.map_err(std::io::Error::other)?);
    let server = HttpServer::new(move || {
        App::new().app_data(limiter.clone()).wrap(from_fn(limit)).route("/", web::get().to(async || "hello\n"))
    });
    let server = server.bind(("127.0.0.1", 8080))?;
    println!("curl -i http://127.0.0.1:8080/");
    server.run().await
}
