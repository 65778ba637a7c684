//! Requests that ask a model: into the line, and back.

use std::convert::Infallible;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};

use actix_web::{HttpRequest, HttpResponse};
use core_validate::{Dialect, Head, Operation};
use futures_util::StreamExt as _;
use pipeline::{About, Answer, AnswerBody, Received, Rejection, Unread};

use crate::edge::head;
use crate::http::{Shared, Target, render};

pub(super) async fn run(
    shared: &Shared,
    request: &HttpRequest,
    body: Unread,
    about: About,
    (operation, target): (Operation, Target),
) -> Result<HttpResponse, Rejection> {
    let headers = request.headers();
    let described = Head {
        content_type: headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned),
        tensor_header_length: head::number(headers, &head::TENSOR_HEADER),
        model: target.model,
        version: target.version,
    };
    let presented = match operation.dialect() {
        Dialect::Anthropic => head::presented_anthropic_key(headers),
        _ => head::presented_key(headers),
    };
    let received = Received::new(about, presented, described, body);
    let answer = shared.pipeline.run(received).await?;
    Ok(render_answer(operation.dialect(), answer, shared.pipeline.policy().openai_headers))
}

fn render_answer(dialect: Dialect, answer: Answer, older_limits: bool) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    render::common(&mut builder, &answer.request_id);
    if dialect == Dialect::Anthropic {
        render::anthropic_id(&mut builder, &answer.request_id);
    }
    render::rotation(&mut builder, answer.principal.as_ref());
    render::limits(&mut builder, &answer.standings, older_limits);
    match answer.body {
        AnswerBody::Full(encoded) => {
            if let Some(length) = encoded.tensor_header_length {
                builder.insert_header((head::TENSOR_HEADER, HeaderValue::from(length)));
                builder.content_type("application/octet-stream");
            } else {
                builder.content_type("application/json");
            }
            builder.body(encoded.bytes)
        }
        AnswerBody::Stream(events) => builder
            .content_type("text/event-stream")
            .insert_header(("x-accel-buffering", "no"))
            .streaming(events.map(Ok::<_, Infallible>)),
    }
}
