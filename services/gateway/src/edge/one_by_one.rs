//! A connection on which one request follows another: the next one is passed on once the answer to the one before is
//! made. The HTTP library reads ahead, and would write an answer in the form that the request behind it asks for.
//!
//! Here a head is also waited for no longer than it may take, and refused in our own words where it has not one reading.
//! Who asks first whether a body is wanted hears it when somebody reads the body: the library would say so to everybody.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use ::edge::{Framing, Next, without_expect};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::{Buf as _, Bytes, BytesMut};
use actix_web::{HttpRequest, HttpResponse};
use pipeline::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use crate::edge::refuse::{Refuse, code};

/// Bytes that are read at once, and at most ahead.
const AHEAD: usize = 16 << 10;
/// What a caller hears whose body is wanted.
const CONTINUE: Bytes = Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n");
/// How long an answer to a request that has not ended may take to leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whose turn it is on a connection: told when an answer is made, and tells when there is no more of a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    /// What is answered is known, and nothing of it was written before.
    is_answering: bool,
    is_answered: bool,
    waiting: Option<Waker>,
    /// Somebody reads the body.
    is_wanted: bool,
    /// The body cannot be read on.
    is_broken: bool,
    reading: Option<Waker>,
}

impl Turn {
    /// Of the connection that a request came on.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        request.conn_data::<Self>().cloned().unwrap_or_default()
    }

    /// The same answer, which tells when it is made, or dropped.
    pub(crate) fn over_with(self, response: HttpResponse) -> HttpResponse {
        self.told().is_answering = true;
        response.map_body(|_, body| BoxBody::new(Answer { body, turn: self }))
    }

    /// Somebody reads the body, so that its caller may send it.
    pub(crate) fn want(&self) {
        let mut told = self.told();
        if !std::mem::replace(&mut told.is_wanted, true)
            && let Some(waker) = told.waiting.take()
        {
            waker.wake();
        }
    }

    /// Whether the body broke off; if not, who reads it is woken when it does.
    pub(crate) fn is_broken(&self, context: &Context<'_>) -> bool {
        let mut told = self.told();
        told.reading = Some(context.waker().clone());
        told.is_broken
    }

    fn break_off(&self) {
        let mut told = self.told();
        told.is_broken = true;
        if let Some(waker) = told.reading.take() {
            waker.wake();
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting_for_body(&self) -> bool {
        let told = self.told();
        told.is_wanted && !told.is_answering
    }

    fn is_answered(&self, context: &Context<'_>) -> bool {
        let mut told = self.told();
        told.waiting = Some(context.waker().clone());
        told.is_answered
    }
}

struct Answer {
    body: BoxBody,
    turn: Turn,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut told = self.turn.told();
        told.is_answered = true;
        if let Some(waker) = told.waiting.take() {
            waker.wake();
        }
    }
}

/// How long a connection waits for heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a head's first byte to its last, and for the first head of all.
    pub(crate) head: Duration,
    /// For the first byte of a head.
    pub(crate) idle: Duration,
}

/// A connection with requests one by one.
pub(crate) struct OneByOne<S> {
    stream: S,
    framing: Framing,
    /// Read, and not looked at.
    held: BytesMut,
    /// Looked at, and not passed on.
    cleared: BytesMut,
    turn: Turn,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    /// Whether the last write was not taken as a whole, so that something of an answer may still have to leave.
    is_blocked: bool,
    /// A refusal on its way out.
    refusal: Option<Bytes>,
    /// What is left to say to who asked whether a body is wanted.
    going_on: Bytes,
    end: End,
    refuse: Refuse,
    peer: IpAddr,
}

/// How far the connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// The body broke off; nothing more is read.
    Broken,
    /// Once the answer has left.
    Soon,
    Now,
}

impl<S> OneByOne<S> {
    pub(crate) fn new(stream: S, patience: Patience, refuse: Refuse, peer: IpAddr) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            held: BytesMut::new(),
            cleared: BytesMut::new(),
            turn: Turn::default(),
            patience,
            timer: Box::pin(tokio::time::sleep(patience.head)),
            is_blocked: false,
            refusal: None,
            going_on: Bytes::new(),
            end: End::NotYet,
            refuse,
            peer,
        }
    }

    /// For the handler of its requests.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    fn wait(&mut self, duration: Duration) {
        self.timer.as_mut().reset(Instant::now() + duration);
    }

    fn refuse(&mut self, code: Code) {
        self.refusal = Some(self.refuse.bytes(self.peer, &self.held, code));
        self.held.clear();
    }

    /// Goes on with the next request once the answer is made; ends the connection when the request has not ended then.
    fn take_turn(&mut self, context: &Context<'_>) {
        let is_over = self.framing.is_over() && !self.framing.is_last() && self.end == End::NotYet;
        if self.framing.is_in_head() || self.end == End::Soon || !self.turn.is_answered(context) {
            return;
        }
        if !is_over {
            self.end = End::Soon;
            return self.wait(GOODBYE);
        }
        *self.turn.told() = Told::default();
        self.framing.next_request();
        self.wait(if self.held.is_empty() { self.patience.idle } else { self.patience.head });
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OneByOne<S> {
    /// Writes what is left of a refusal.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.refusal.as_mut().filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            rest.advance(count);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Tells a caller who waits for that, and has sent nothing yet, that its body is wanted.
    fn poll_go_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Behind what is left of the answer before it, and before its own.
        if self.framing.is_expecting() && !self.is_blocked && self.turn.is_waiting_for_body() {
            self.framing.expects_no_more();
            self.going_on = if self.held.is_empty() { CONTINUE } else { Bytes::new() };
        }
        if self.going_on.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.going_on.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.going_on))?;
            self.going_on.advance(count);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Reads ahead, so that it is also seen when the other side leaves.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let is_first = self.held.is_empty() && self.framing.is_in_head();
        self.held.reserve(AHEAD);
        let count = ready!(poll_read_buf(Pin::new(&mut self.stream), context, &mut self.held))?;
        if is_first && count > 0 && self.end == End::NotYet {
            self.wait(self.patience.head);
        }
        Poll::Ready(Ok(count))
    }

    /// Passes on what may be; `None` when there is nothing yet.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) -> Option<()> {
        if self.cleared.is_empty()
            && let Next::Pass(count) = self.framing.look(&self.held)
        {
            let is_head = self.framing.is_in_head();
            self.framing.passed(&self.held, count);
            self.cleared = self.held.split_to(count);
            if is_head && let Some(head) = without_expect(&self.cleared) {
                self.cleared = head.as_slice().into();
            }
        }
        if !self.cleared.is_empty() {
            let count = self.cleared.len().min(buffer.remaining());
            buffer.put_slice(&self.cleared.split_to(count));
            return Some(());
        }
        match self.framing.look(&self.held) {
            Next::Broken => {
                self.end = End::Broken;
                self.held.clear();
                self.turn.break_off();
                None
            }
            Next::Refuse(why) => {
                self.refuse(code(why));
                None
            }
            Next::Pass(_) | Next::Wait | Next::Over => None,
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.refusal.is_some() {
                // Behind what is left of the answer before it.
                if self.is_blocked {
                    return Poll::Pending;
                }
                ready!(self.poll_refuse(context))?;
                ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                // What still comes is read, so that the refusal is not lost to a reset.
                self.refusal = None;
                self.end = End::Soon;
                self.wait(GOODBYE);
            }
            if self.end == End::Now {
                return Poll::Ready(Ok(()));
            }
            self.take_turn(context);
            if let Poll::Ready(said) = self.poll_go_on(context) {
                said?;
            }
            if self.end == End::NotYet && self.pass(buffer).is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.refusal.is_some() {
                continue;
            }
            let is_waiting = self.framing.is_in_head() || self.end == End::Soon;
            if is_waiting && self.timer.as_mut().poll(context).is_ready() {
                match self.held.is_empty() || self.end == End::Soon {
                    true => self.end = End::Now,
                    false => self.refuse(Code::HeadTimeout),
                }
                continue;
            }
            if self.held.len() >= AHEAD {
                return Poll::Pending;
            }
            if ready!(self.poll_ahead(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
            if self.end != End::NotYet {
                self.held.clear();
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for OneByOne<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_next(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OneByOne<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Nothing of an answer gets into the middle of it.
        if !self.going_on.is_empty() {
            ready!(self.poll_go_on(context))?;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.is_blocked = !matches!(written, Poll::Ready(Ok(count)) if count == bytes.len());
        if !self.is_blocked && (self.refusal.is_some() || self.framing.is_expecting()) {
            context.waker().wake_by_ref();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
