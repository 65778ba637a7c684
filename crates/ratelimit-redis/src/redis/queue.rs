//! Acts that wait are sent together: a call takes along whatever queued while those before it were under way. There
//! is no timer, and an act that is alone is sent by its caller, who wakes no other task. In a cluster, one call is
//! about one slot, and each server has a queue of its own, so that one that is gone holds up nobody else.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::join_all;
use redis_place::Node;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::LimiterError;
use crate::op::{Act, Done, Op, Slots};
use crate::redis::batch::{Answer, Batch, Place};
use crate::redis::breaker::Breaker;
use crate::redis::link::{Fault, Link};

/// Acts that may wait to be sent.
const WAITING: usize = 16_384;
/// Most acts of one call.
const TOGETHER: usize = 256;

/// Where acts are handed in.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Waiting>,
    caller: Arc<Caller>,
}

#[derive(Debug)]
struct Waiting {
    op: Op,
    slot: u16,
    reply: Reply,
}

impl Waiting {
    /// Whoever has left takes nothing, and renews no slots that may be released by now; what was used is told.
    fn wanted(mut self) -> Option<Self> {
        if self.reply.to.is_closed() {
            match self.op.act {
                Act::Take => return None,
                Act::Adjust(Slots::Renew) => self.op.act = Act::Adjust(Slots::Leave),
                Act::Adjust(_) => {}
            }
        }
        Some(self)
    }
}

#[derive(Debug)]
struct Reply {
    to: oneshot::Sender<Result<Answered, LimiterError>>,
    counted: Counted,
}

/// One of the acts that were handed in and have no answer yet.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(acts: &Arc<AtomicUsize>) -> Self {
        acts.fetch_add(1, Ordering::AcqRel);
        Self(acts.clone())
    }

    /// If there is no other: what is handed in later must not be sent earlier.
    fn if_alone(acts: &Arc<AtomicUsize>) -> Option<Self> {
        acts.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).ok().map(|_| Self(acts.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Reply {
    fn send(self, answered: Result<Answered, LimiterError>) {
        drop(self.counted);
        // What does not arrive gives back what it took.
        drop(self.to.send(answered));
    }
}

/// What came of an act, on its way to the caller. If it does not arrive, what was taken is given back.
#[derive(Debug)]
struct Answered {
    done: Done,
    undo: Option<Undo>,
}

impl Answered {
    fn arrived(mut self) -> Done {
        self.undo = None;
        std::mem::take(&mut self.done)
    }
}

#[derive(Debug)]
struct Undo {
    sender: mpsc::WeakSender<Waiting>,
    acts: Arc<AtomicUsize>,
    /// What was done.
    op: Arc<Op>,
    slot: u16,
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(Undo { sender, acts, op, slot }) = self.undo.take() {
            let is_told = sender.upgrade().is_some_and(|sender| tell(&sender, &acts, op.undo(), slot));
            if !is_told {
                tracing::warn!("a charge stays although its caller has left");
            }
        }
    }
}

/// What sends.
struct Caller {
    link: Arc<Link>,
    node: Arc<Node>,
    breaker: Arc<Breaker>,
    /// Does not keep the queue open.
    sender: mpsc::WeakSender<Waiting>,
    /// Those without an answer.
    acts: Arc<AtomicUsize>,
}

struct Worker {
    caller: Arc<Caller>,
    receiver: Arc<Mutex<mpsc::Receiver<Waiting>>>,
}

/// A call that goes on without its caller: only its answer says what is to be given back.
struct GoesOn {
    call: Option<Call>,
    runtime: Handle,
}

type Call = Pin<Box<dyn Future<Output = Result<Answered, LimiterError>> + Send>>;

impl Future for GoesOn {
    type Output = Result<Answered, LimiterError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.call = None;
        }
        polled
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.runtime.spawn(call);
        }
    }
}

impl Queue {
    /// Starts the tasks that send, `in_flight` calls at once. They end with the queue, or the runtime.
    pub(crate) fn start(link: &Arc<Link>, node: &Arc<Node>, breaker: &Arc<Breaker>, in_flight: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let (link, node, breaker) = (link.clone(), node.clone(), breaker.clone());
        let caller = Arc::new(Caller { link, node, breaker, sender: sender.downgrade(), acts: Arc::default() });
        for _ in 0..in_flight.max(1) {
            tokio::spawn(Worker { caller: caller.clone(), receiver: receiver.clone() }.run());
        }
        Self { sender, caller }
    }

    /// Whether the runtime of its tasks is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Does one act. If the caller goes away before the answer is there, what was taken is given back.
    pub(crate) async fn run(&self, op: Op, slot: u16) -> Result<Done, LimiterError> {
        if let Ok(runtime) = Handle::try_current()
            && let Some(counted) = Counted::if_alone(&self.caller.acts)
        {
            let call = self.caller.clone().send_at_once(op, slot, counted);
            return Ok(GoesOn { call: Some(Box::pin(call)), runtime }.await?.arrived());
        }
        let (to, answer) = oneshot::channel();
        let reply = Reply { to, counted: Counted::new(&self.caller.acts) };
        self.sender.try_send(Waiting { op, slot, reply }).map_err(|_| LimiterError::Unavailable)?;
        Ok(answer.await.map_err(|_| LimiterError::Unavailable)??.arrived())
    }

    /// Hands an act in whose answer nobody needs. `false` when the queue is full.
    pub(crate) fn tell(&self, op: Op, slot: u16) -> bool {
        tell(&self.sender, &self.caller.acts, op, slot)
    }
}

fn tell(sender: &mpsc::Sender<Waiting>, acts: &Arc<AtomicUsize>, op: Op, slot: u16) -> bool {
    let reply = Reply { to: oneshot::channel().0, counted: Counted::new(acts) };
    sender.try_send(Waiting { op, slot, reply }).is_ok()
}

impl Worker {
    async fn run(self) {
        let mut waiting = Vec::with_capacity(TOGETHER);
        while self.receiver.lock().await.recv_many(&mut waiting, TOGETHER).await > 0 {
            let wanted: Vec<Waiting> = waiting.drain(..).filter_map(Waiting::wanted).collect();
            if wanted.is_sorted_by(|one, other| one.slot == other.slot) {
                self.caller.send_all(wanted.into()).await;
            } else {
                join_all(by_slot(wanted).into_iter().map(|wanted| self.caller.send_all(wanted))).await;
            }
        }
    }
}

impl Caller {
    /// Sends one act that is alone.
    async fn send_at_once(self: Arc<Self>, op: Op, slot: u16, _counted: Counted) -> Result<Answered, LimiterError> {
        let mut batch = Batch::default();
        let place = batch.push(op).map_err(|_| LimiterError::Charges)?;
        let answered = self.call(slot, &batch).await.map_err(|_| LimiterError::Unavailable)?;
        self.answered(slot, &batch, &batch.decode(&answered)?, place)
    }

    /// Sends acts of one slot.
    async fn send_all(&self, mut waiting: VecDeque<Waiting>) {
        while let Some(slot) = waiting.front().map(|waiting| waiting.slot) {
            let mut batch = Batch::default();
            let mut sent = Vec::with_capacity(waiting.len());
            while let Some(Waiting { op, slot, reply }) = waiting.pop_front() {
                match batch.push(op) {
                    Ok(place) => sent.push((place, reply)),
                    Err(op) => {
                        waiting.push_front(Waiting { op, slot, reply });
                        break;
                    }
                }
            }
            self.send(slot, batch, sent).await;
        }
    }

    async fn send(&self, slot: u16, batch: Batch, sent: Vec<(Place, Reply)>) {
        let answered = self.call(slot, &batch).await;
        if matches!(answered, Err(Fault::Moving)) && batch.is_several() {
            // Acts whose keys are all on one side can be done; nothing has run.
            let alone = sent.into_iter().filter_map(|(place, reply)| {
                let mut alone = Batch::default();
                let place = alone.push(Op::clone(batch.op(place)?)).ok()?;
                Some(Box::pin(self.answer_alone(slot, alone, place, reply)))
            });
            join_all(alone).await;
        } else {
            self.answer(slot, &batch, answered, sent);
        }
    }

    async fn answer_alone(&self, slot: u16, batch: Batch, place: Place, reply: Reply) {
        let answered = self.call(slot, &batch).await;
        self.answer(slot, &batch, answered, vec![(place, reply)]);
    }

    fn answer(&self, slot: u16, batch: &Batch, answered: Result<Vec<u8>, Fault>, sent: Vec<(Place, Reply)>) {
        let decoded = answered.as_deref().map_err(|_| LimiterError::Unavailable).and_then(|bytes| batch.decode(bytes));
        let answer = match decoded {
            Ok(answer) => answer,
            Err(error) => return sent.into_iter().for_each(|(_, reply)| reply.send(Err(error))),
        };
        for (place, reply) in sent {
            reply.send(self.answered(slot, batch, &answer, place));
        }
    }

    fn answered(&self, slot: u16, batch: &Batch, answer: &Answer<'_>, place: Place) -> Result<Answered, LimiterError> {
        let done = answer.of(place)?;
        let op = batch.op(place).filter(|op| done.is_taken && op.act == Act::Take);
        let undo = |op: Arc<Op>| Undo { sender: self.sender.clone(), acts: self.acts.clone(), op, slot };
        Ok(Answered { done, undo: op.cloned().map(undo) })
    }

    /// Waits for the answer longer than callers do, because only then is it known what was taken. Calls
    /// count as failed, not those who waited for them: one that is slow is no outage.
    async fn call(&self, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
        let breaker = &self.breaker;
        let call = self.link.call(&self.node, slot, batch);
        tokio::pin!(call);
        let in_time = tokio::time::timeout(self.link.deadline(), &mut call).await;
        let is_late = in_time.is_err();
        if is_late {
            breaker.failed(Instant::now());
        }
        let answered = match in_time {
            Ok(answered) => answered,
            Err(_) => call.await,
        };
        match &answered {
            Ok(_) => breaker.succeeded(),
            // The server is there, and its other slots are.
            Err(Fault::Moving) => {}
            Err(_) if is_late => {}
            Err(_) => breaker.failed(Instant::now()),
        }
        answered
    }
}

/// Acts slot by slot, in their order.
fn by_slot(mut waiting: Vec<Waiting>) -> Vec<VecDeque<Waiting>> {
    waiting.sort_by_key(|waiting| waiting.slot);
    let mut groups: Vec<VecDeque<Waiting>> = Vec::new();
    for waiting in waiting {
        match groups.last_mut().filter(|group| group.back().is_some_and(|last| last.slot == waiting.slot)) {
            Some(group) => group.push_back(waiting),
            None => groups.push(VecDeque::from([waiting])),
        }
    }
    groups
}
