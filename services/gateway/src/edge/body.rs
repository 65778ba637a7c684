//! A body as the line wants it: unread, and without the HTTP library's words.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BoxBody, SizedStream};
use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::{Stream, StreamExt as _};
use pipeline::{BodyError, Code, Unread};

use crate::edge::head::content_length;
use crate::edge::one_by_one::Turn;

/// The body of a request, which outlives whoever refuses to read it.
///
/// A body that is dropped half read is read to its end by the HTTP library, for as long as the caller
/// likes to send. One that is still held when the answer is out closes the connection.
#[derive(Clone)]
pub(crate) struct Body(Rc<Inner>);

struct Inner {
    payload: RefCell<Payload>,
    has_ended: Cell<bool>,
    turn: Turn,
}

impl Body {
    pub(crate) fn new(payload: Payload, has_body: bool, turn: Turn) -> Self {
        Self(Rc::new(Inner { payload: RefCell::new(payload), has_ended: Cell::new(!has_body), turn }))
    }

    /// For the line, to be read once its caller is known.
    pub(crate) fn unread(&self, headers: &HeaderMap) -> Unread {
        Unread::new(Pieces(self.clone()), content_length(headers))
    }

    /// The whole of a small body, for operators.
    pub(crate) async fn read(&self, max_bytes: usize) -> Result<Bytes, Code> {
        let mut pieces = Pieces(self.clone());
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Code::BodyIncomplete)?;
            if bytes.len() + piece.len() > max_bytes {
                return Err(Code::BodyTooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Whether bytes may still be on their way.
    pub(crate) fn is_unread(&self) -> bool {
        !self.0.has_ended.get()
    }

    /// The body of an answer that holds this one until it is out.
    pub(crate) fn held_by(self, text: String) -> BoxBody {
        let length = text.len() as u64;
        let text = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(text))]);
        // The closure owns the body, and lives until the answer is out.
        let held = text.map(move |piece| {
            let _body = &self;
            piece
        });
        BoxBody::new(SizedStream::new(length, held))
    }
}

struct Pieces(Body);

impl Stream for Pieces {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let inner = &self.0.0;
        let Ok(mut payload) = inner.payload.try_borrow_mut() else {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        };
        inner.turn.want();
        if inner.turn.is_broken(context) {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        }
        let polled = payload.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None)) {
            inner.has_ended.set(true);
        }
        polled.map(|piece| piece.map(|piece| piece.map_err(|_| BodyError::Incomplete)))
    }
}
