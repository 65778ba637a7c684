//! A model server that costs little: fixed answers at once, streams at a fixed pace.
//!
//! It runs as a process of its own, so that its work is not counted with the load's.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::Failure;

/// Pieces of content in a stream.
pub(crate) const PIECES: u32 = 50;
/// The content of each.
pub(crate) const PIECE: &str = " word";
/// Before the first piece.
const FIRST: Duration = Duration::from_millis(30);
/// Between pieces.
const PACE: Duration = Duration::from_millis(5);

/// The content of every whole answer.
pub(crate) const ANSWER: &str = "A short answer, always the same.";

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// As much of a request as decides what is answered.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    include_usage: bool,
}

/// Serves on a free port until standard input ends, which it does with the process that started it.
pub(crate) async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::report::say(&listener.local_addr()?.to_string());
    let mut input = tokio::io::stdin();
    let mut nothing = [0; 64];
    loop {
        tokio::select! {
            accepted = listener.accept() => { tokio::spawn(connection(accepted?.0)); }
            read = input.read(&mut nothing) => if read? == 0 { return Ok(()) },
        }
    }
}

async fn connection(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    // A caller that leaves in the middle is no concern here; the load counts failures.
    let _ = served.await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    if request.method() != Method::POST || request.uri().path() != "/v1/chat/completions" {
        return Ok(response(StatusCode::NOT_FOUND, "text/plain", once(String::new())));
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(match serde_json::from_slice::<Asked>(&body) {
        Ok(asked) if asked.stream => response(StatusCode::OK, "text/event-stream", events(asked)),
        Ok(_) => {
            let text = whole();
            let length = HeaderValue::from(text.len());
            let mut whole = response(StatusCode::OK, "application/json", once(text));
            whole.headers_mut().insert(CONTENT_LENGTH, length);
            whole
        }
        Err(_) => response(StatusCode::BAD_REQUEST, "text/plain", once("no JSON".to_owned())),
    })
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn once(text: String) -> Body {
    StreamBody::new(stream::once(async move { Ok(Frame::data(Bytes::from(text))) }).boxed())
}

fn whole() -> String {
    let message = format!(r#"{{"role":"assistant","content":"{ANSWER}"}}"#);
    let choices = format!(r#"[{{"index":0,"message":{message},"finish_reason":"stop"}}]"#);
    let usage = r#"{"prompt_tokens":20,"completion_tokens":8,"total_tokens":28}"#;
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"bench","choices":{choices},"usage":{usage}}}"#
    )
}

/// All pieces by the clock of the start, so that a late one does not delay the next.
fn events(asked: Asked) -> Body {
    let start = Instant::now();
    let pieces = stream::iter(0..PIECES).then(move |at| async move {
        tokio::time::sleep_until(start + FIRST + PACE * at).await;
        let delta = format!(r#"{{"content":"{PIECE}"}}"#);
        event(&format!(r#"[{{"index":0,"delta":{delta},"finish_reason":null}}]"#), "")
    });
    let mut ends = event(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#, "");
    if asked.stream_options.include_usage {
        ends += &event("[]", r#","usage":{"prompt_tokens":20,"completion_tokens":50,"total_tokens":70}"#);
    }
    ends += "data: [DONE]\n\n";
    let all = pieces.chain(stream::once(async move { ends }));
    StreamBody::new(all.map(|text| Ok(Frame::data(Bytes::from(text)))).boxed())
}

fn event(choices: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"bench\",\"choices\":{choices}{more}}}\n\n"
    )
}
