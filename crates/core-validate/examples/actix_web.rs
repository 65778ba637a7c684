//! A service that takes chats, in actix-web: a body that is not exactly a chat is told what is wrong and where.
//!
//! `cargo run --example actix_web`, then send something else than it expects.
#![expect(clippy::print_stdout, reason = "an example prints")]

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use core_validate::{Extensions, Head, Invalid, InvalidCode, Limits, Operation, Validator};

async fn chat(validator: Data<Validator>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let head = Head { content_type: content_type.map(str::to_owned), ..Head::default() };
    match validator.parse(Operation::Chat, &head, &body) {
        // This is what may be sent on: written anew, and nothing but what was checked.
        Ok(request) => HttpResponse::Ok().content_type("application/json").body(request.to_body().bytes),
        Err(invalid) => refusal(&invalid),
    }
}

fn refusal(invalid: &Invalid) -> HttpResponse {
    let mut response = match invalid.code() {
        InvalidCode::UnsupportedMediaType => HttpResponse::UnsupportedMediaType(),
        _ => HttpResponse::BadRequest(),
    };
    response.body(format!("{} at {:?}: {invalid}\n", invalid.code().as_str(), invalid.at().as_str()))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let limits = Limits::default().messages(50).extensions([Extensions::Vllm]);
    let validator = Data::new(Validator::new(limits));
    let app = move || {
        App::new()
            .app_data(validator.clone())
            // The body is bounded before it is read.
            .app_data(PayloadConfig::new(1 << 20))
            .route("/v1/chat/completions", web::post().to(chat))
    };
    let server = HttpServer::new(app).bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        println!("curl http://{address}/v1/chat/completions --json '{{\"model\":\"m\",\"messages\":[{{}}]}}'");
    }
    server.run().await
}
