//! A service whose callers need a key, in actix-web: a middleware that makes a `Principal` of it, or refuses.
//!
//! `cargo run --example actix_web` prints a key and a command to try. Keys are in memory: they end with the process.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpMessage as _, HttpResponse, HttpServer, web};
use keys::{
    AuthError, InferenceScopes, MemoryKeyStore, NewKey, Operation, Peppers, Principal, Scopes, Terms, Verifier,
};

async fn authenticate(
    verifier: web::Data<Verifier>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let presented = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = presented.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(peer) = request.peer_addr() else {
        return Ok(request.into_response(HttpResponse::BadRequest().finish()).map_into_right_body());
    };
    match verifier.verify(presented, peer.ip(), unix_millis()).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(error) => Ok(request.into_response(refusal(&error)).map_into_right_body()),
    }
}

/// The same for all that the caller has done wrong: an unknown key looks like one that was revoked.
fn refusal(error: &AuthError) -> HttpResponse {
    match error {
        AuthError::Throttled { retry_after } => {
            HttpResponse::TooManyRequests().insert_header((RETRY_AFTER, seconds(*retry_after))).finish()
        }
        AuthError::Busy { retry_after } => {
            HttpResponse::ServiceUnavailable().insert_header((RETRY_AFTER, seconds(*retry_after))).finish()
        }
        error if error.is_callers_fault() => {
            HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish()
        }
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn greet(caller: web::ReqData<Principal>, model: web::Path<String>) -> HttpResponse {
    if !caller.scopes().permits(Operation::Chat, &model) {
        return HttpResponse::NotFound().finish();
    }
    HttpResponse::Ok().body(format!("{} may ask {model}\n", caller.name()))
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let peppers = Peppers::generate().map_err(std::io::Error::other)?;
    let verifier =
        Verifier::builder(Arc::new(MemoryKeyStore::new()), peppers).build().map_err(std::io::Error::other)?;
    let scopes = InferenceScopes::new(["gpt-*"], [Operation::Chat]).map_err(std::io::Error::other)?;
    let new = NewKey::new("example", Terms::new(Scopes::Inference(scopes)));
    let key = verifier.issuer().issue(&Principal::system(), new, unix_millis()).await.map_err(std::io::Error::other)?;
    println!("curl -i http://127.0.0.1:8080/gpt-4 -H 'Authorization: Bearer {}'", key.secret());
    let verifier = web::Data::new(verifier);
    HttpServer::new(move || {
        App::new().app_data(verifier.clone()).wrap(from_fn(authenticate)).route("/{model}", web::get().to(greet))
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
