//! The cut: when the gateway stops, requests under way may end for a while; what is still open then is ended, and told.

use tokio::sync::watch;

/// Cuts.
#[derive(Debug)]
pub(crate) struct Cutter(watch::Sender<bool>);

/// Hears of the cut.
#[derive(Debug, Clone)]
pub(crate) struct Cut(watch::Receiver<bool>);

impl Cutter {
    /// A cutter that has not cut, and who hears of it.
    pub(crate) fn new() -> (Self, Cut) {
        let (cutter, cut) = watch::channel(false);
        (Self(cutter), Cut(cut))
    }

    /// Ends what is under way.
    pub(crate) fn cut(&self) {
        self.0.send_replace(true);
    }
}

impl Cut {
    /// Waits for work; none if the cut comes first.
    pub(crate) async fn before<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            // Without a cutter nobody cuts.
            Ok(_) = self.0.wait_for(|is_cut| *is_cut) => None,
        }
    }
}
