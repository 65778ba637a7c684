//! What every [`Revocations`] must do.

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::revocations::{Changed, Heard, Revocations};
use crate::tenant::Tenant;
use crate::testing::{done, record};

/// Runs every case on pairs made by `make`: two ways to the same listeners, as two processes would have
/// them. Each pair is used once.
///
/// # Panics
/// When the implementation breaks the contract; the message names the case.
pub async fn revocations_suite<R: Revocations + 'static>(make: impl AsyncFn() -> (R, R)) {
    what_is_announced_is_heard_in_order(make().await).await;
    who_listens_later_hears_what_comes_later(make().await).await;
}

/// Listens in a task of its own, which ends with the test's runtime.
fn listen<R: Revocations + 'static>(revocations: R) -> UnboundedReceiver<Heard> {
    let (heard, hears) = mpsc::unbounded_channel();
    let listening = async move {
        let hear = move |what| drop(heard.send(what));
        revocations.listen(&hear).await;
    };
    tokio::spawn(listening);
    hears
}

fn every_kind() -> [Changed; 4] {
    let id = record("aaaaaaaaaaaaaaaa").id;
    [Changed::Key(id), Changed::Family(id.into()), Changed::Tenant(Tenant::default()), Changed::All]
}

async fn what_is_announced_is_heard_in_order<R: Revocations + 'static>((teller, listener): (R, R)) {
    let mut hears = listen(listener);
    assert_eq!(hears.recv().await, Some(Heard::Here), "a listener is told that it hears");
    for changed in every_kind() {
        done("announce", teller.announce(&changed).await);
    }
    for changed in every_kind() {
        assert_eq!(hears.recv().await, Some(Heard::Changed(changed)), "each is heard once, in order");
    }
}

async fn who_listens_later_hears_what_comes_later<R: Revocations + 'static>((teller, listener): (R, R)) {
    done("announce", teller.announce(&Changed::All).await);
    let mut hears = listen(listener);
    assert_eq!(hears.recv().await, Some(Heard::Here), "what was before may have been missed");
    let [changed, ..] = every_kind();
    done("announce", teller.announce(&changed).await);
    assert_eq!(hears.recv().await, Some(Heard::Changed(changed)), "what comes after is heard");
}
