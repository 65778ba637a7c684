//! The start of the line: a request head that was accepted, and a body nobody has read.

use std::pin::Pin;

use bytes::Bytes;
use core_validate::Head;
use futures_core::Stream;

use crate::about::About;
use crate::unpack::Packing;

/// What went wrong while a body arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It broke off or is not well framed.
    #[error("the body broke off")]
    Incomplete,
}

/// A body that nobody has read yet. Only the read step can, after authentication.
pub struct Unread {
    pub(crate) stream: Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>>>>,
    pub(crate) announced: Option<u64>,
    pub(crate) packing: Option<Packing>,
}

impl Unread {
    /// A body that will arrive on `stream`; `announced` is its length, if the head says one.
    pub fn new(stream: impl Stream<Item = Result<Bytes, BodyError>> + 'static, announced: Option<u64>) -> Self {
        Self { stream: Box::pin(stream), announced, packing: None }
    }

    /// The same, whose bytes are packed; the announced length is that of the packed ones.
    pub fn packed(self, packing: Option<Packing>) -> Self {
        Self { packing, ..self }
    }
}

/// An accepted request: its head is sound, its caller unknown, its body unread.
pub struct Received {
    pub(crate) about: About,
    pub(crate) presented: Option<String>,
    pub(crate) head: Head,
    pub(crate) body: Unread,
}

impl Received {
    /// A request whose head the edge has checked. `presented` is the one key it carries, if any;
    /// the first step drops it.
    pub fn new(about: About, presented: Option<String>, head: Head, body: Unread) -> Self {
        Self { about, presented, head, body }
    }
}
