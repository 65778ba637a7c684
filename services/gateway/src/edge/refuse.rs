//! Refusals of what is no request yet: in our own words, counted and recorded like all others, as bytes.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use ::edge::Refusal;
use actix_web::web::Bytes;
use pipeline::{About, Code, Pipeline, Step};

use crate::http::render::{self, Shape};
use crate::request_id;

/// Refuses, for one listener.
#[derive(Clone)]
pub(crate) struct Refuse {
    pipeline: Arc<Pipeline>,
    /// Of all refusals; by the path, if absent.
    shape: Option<Shape>,
}

impl Refuse {
    pub(crate) fn new(pipeline: Arc<Pipeline>, shape: Option<Shape>) -> Self {
        Self { pipeline, shape }
    }

    /// The whole answer to a caller who sent this instead of a head. The connection ends with it.
    pub(crate) fn bytes(&self, peer: IpAddr, sent: &[u8], code: Code) -> Bytes {
        let shape = self.shape.unwrap_or_else(|| Shape::of(&path(sent)));
        let about = About::new(request_id::new(), peer.to_canonical(), None);
        let rejection = self.pipeline.refuse(about, Step::Accept, code);
        let (head, body) = render::written(shape, &rejection, "GET, HEAD, POST");
        let status = head.status();
        let mut text = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
        for (name, value) in head.headers() {
            let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        let _ = write!(text, "content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        text.into()
    }
}

/// The code of a head that is refused.
pub(crate) fn code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::TooLarge => Code::HeadTooLarge,
        Refusal::UnknownMethod => Code::MethodNotAllowed,
        Refusal::OtherHost => Code::Misdirected,
        _ => Code::BadRequest,
    }
}

/// The path of what may be a request, as far as it has one.
fn path(sent: &[u8]) -> String {
    let line = sent.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let target = String::from_utf8_lossy(line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()).into_owned();
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => &target,
    };
    path.split('?').next().unwrap_or_default().to_owned()
}
