//! The seam to where records are kept.

use std::future::Future;
use std::io;
use std::pin::Pin;

/// A boxed future, so that [`Sink`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where records are kept, in order. One writer at a time uses it, on a thread of its own, so it may
/// block. The cases that an implementation must pass are in `testing::suite`.
///
/// Nothing else is written while a call is under way, and it is not given up from outside. A sink over a network must
/// therefore end it within a time of its own, and undo what it may have written before the next.
///
/// An error of the kind [`ResourceBusy`](io::ErrorKind::ResourceBusy) says that another process writes
/// the log now: then the log ends.
pub trait Sink: Send {
    /// Hands every record kept so far to `each`, from the first, byte for byte as it was appended,
    /// and stops at its first error. A record that was only half written is removed before.
    fn replay<'a>(
        &'a mut self,
        each: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> BoxFuture<'a, io::Result<()>>;

    /// Makes the records durable, all or none: after an error none of them may ever be replayed. With
    /// no records, which happens every few seconds, tells whether it could. A record is a JSON text
    /// without line ends.
    fn append<'a>(&'a mut self, records: &'a [String]) -> BoxFuture<'a, io::Result<()>>;

    /// Keeps the newest checkpoint, durably, in place of the one before.
    fn keep_checkpoint<'a>(&'a mut self, note: &'a str) -> BoxFuture<'a, io::Result<()>>;

    /// The newest checkpoint, if there ever was one.
    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>>;

    /// What was kept by the last [`Sink::remove`], if there ever was one.
    fn stub(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Keeps a stub, durably, and then removes all records before the index `first`, which are never replayed
    /// afterwards. A sink that cannot remove says [`Unsupported`](io::ErrorKind::Unsupported).
    fn remove<'a>(&'a mut self, stub: &'a str, first: u64) -> BoxFuture<'a, io::Result<()>> {
        let _ = (stub, first);
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }

    /// Lets others write the log. It is not used afterwards.
    fn release(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn replay<'a>(
        &'a mut self,
        each: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> BoxFuture<'a, io::Result<()>> {
        (**self).replay(each)
    }

    fn append<'a>(&'a mut self, records: &'a [String]) -> BoxFuture<'a, io::Result<()>> {
        (**self).append(records)
    }

    fn keep_checkpoint<'a>(&'a mut self, note: &'a str) -> BoxFuture<'a, io::Result<()>> {
        (**self).keep_checkpoint(note)
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        (**self).checkpoint()
    }

    fn stub(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        (**self).stub()
    }

    fn remove<'a>(&'a mut self, stub: &'a str, first: u64) -> BoxFuture<'a, io::Result<()>> {
        (**self).remove(stub, first)
    }

    fn release(&mut self) -> BoxFuture<'_, ()> {
        (**self).release()
    }
}
