//! A connection that has to take what it is sent: one whose reader stalls, or takes an answer byte by byte to keep a
//! model server busy, breaks off.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::edge::connections::Place;

/// Whoever takes so many bytes a second may go on for ever.
const BYTES_PER_SECOND: u32 = 1 << 10;

/// A connection with patience, which goes by while the other side takes nothing, and comes back with what it takes.
/// Time in which there is nothing to send does not count.
pub(crate) struct Paced<S> {
    stream: S,
    most: Duration,
    patience: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    _place: Place,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, most: Duration, place: Place) -> Self {
        Self { stream, most, patience: most, waiting: None, _place: place }
    }

    /// The same, unless it waits for longer than there is patience.
    fn note(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.wrote(count);
                Poll::Ready(Ok(count))
            }
            Poll::Pending => self.waits(context).map(Err),
            failed => failed,
        }
    }

    fn wrote(&mut self, count: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.patience = self.patience.saturating_sub(since.elapsed());
        }
        let earned = Duration::from_secs(1) * u32::try_from(count).unwrap_or(u32::MAX) / BYTES_PER_SECOND;
        self.patience = self.patience.saturating_add(earned).min(self.most);
    }

    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let patience = self.patience;
        let (_, timer) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(patience))));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::edge::connections::Connections;

    fn paced(seconds: u64) -> (Paced<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let place = Connections::new("callers", pipeline::Metrics::new(), 1, 1).enter().unwrap();
        (Paced::new(ours, Duration::from_secs(seconds), place), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_left() {
        let (mut ours, _theirs) = paced(10);
        let start = Instant::now();
        let error = ours.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::TimedOut, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_is_left_too() {
        let (mut ours, mut theirs) = paced(10);
        let reading = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        assert_eq!(ours.write_all(&[0; 4096]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((10..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        drop(ours);
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_and_pauses_of_ours_are_borne() {
        let (mut ours, mut theirs) = paced(10);
        let reading = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let mut count = 0;
            while let Ok(read @ 1..) = theirs.read(&mut buffer).await {
                count += read;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            count
        });
        ours.write_all(&[0; 40 << 10]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        ours.write_all(&[0; 1]).await.unwrap();
        drop(ours);
        assert_eq!(reading.await.unwrap(), (40 << 10) + 1);
    }
}
