//! Acts that wait are sent together: a call takes along whatever queued while those before it were under
//! way. There is no timer, so an act that is alone waits for nobody. In a cluster, one call is about one slot, and
//! each server has a queue of its own, so that one that is gone holds up nobody else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::LimiterError;
use crate::op::{Act, Done, Op, Slots};
use crate::redis::batch::{Batch, Place};
use crate::redis::link::{Fault, Link};
use crate::redis::place::Node;

/// Acts that may wait to be sent.
const WAITING: usize = 16_384;
/// Most acts of one call.
const TOGETHER: usize = 256;

/// Where acts are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Waiting>,
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
        if self.reply.is_closed() {
            match self.op.act {
                Act::Take => return None,
                Act::Adjust(Slots::Renew) => self.op.act = Act::Adjust(Slots::Leave),
                Act::Adjust(_) => {}
            }
        }
        Some(self)
    }
}

type Reply = oneshot::Sender<Result<Answered, LimiterError>>;

/// What came of an act, on its way to the caller. If it does not arrive, what was taken is given back.
#[derive(Debug)]
struct Answered {
    done: Done,
    undo: Option<(mpsc::WeakSender<Waiting>, Op, u16)>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some((sender, op, slot)) = self.undo.take() {
            let is_told = sender.upgrade().is_some_and(|sender| tell(&sender, op, slot));
            if !is_told {
                tracing::warn!("a charge stays although its caller has left");
            }
        }
    }
}

struct Worker {
    link: Arc<Link>,
    node: Arc<Node>,
    receiver: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    /// Does not keep the queue open.
    sender: mpsc::WeakSender<Waiting>,
}

impl Queue {
    /// Starts the tasks that send, `in_flight` calls at once. They end with the queue, or the runtime.
    pub(crate) fn start(link: &Arc<Link>, node: &Arc<Node>, in_flight: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..in_flight.max(1) {
            let (link, node) = (link.clone(), node.clone());
            let worker = Worker { link, node, receiver: receiver.clone(), sender: sender.downgrade() };
            tokio::spawn(worker.run());
        }
        Self { sender }
    }

    /// Whether the runtime of its tasks is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Does one act. If the caller goes away before the answer is there, what was taken is given back.
    pub(crate) async fn run(&self, op: Op, slot: u16) -> Result<Done, LimiterError> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Waiting { op, slot, reply }).map_err(|_| LimiterError::Unavailable)?;
        let mut answered = answer.await.map_err(|_| LimiterError::Unavailable)??;
        answered.undo = None;
        Ok(answered.done.clone())
    }

    /// Hands an act in whose answer nobody needs. `false` when the queue is full.
    pub(crate) fn tell(&self, op: Op, slot: u16) -> bool {
        tell(&self.sender, op, slot)
    }
}

fn tell(sender: &mpsc::Sender<Waiting>, op: Op, slot: u16) -> bool {
    sender.try_send(Waiting { op, slot, reply: oneshot::channel().0 }).is_ok()
}

impl Worker {
    async fn run(self) {
        let mut waiting = Vec::with_capacity(TOGETHER);
        while self.receiver.lock().await.recv_many(&mut waiting, TOGETHER).await > 0 {
            let wanted: Vec<Waiting> = waiting.drain(..).filter_map(Waiting::wanted).collect();
            if wanted.is_sorted_by(|one, other| one.slot == other.slot) {
                self.send_all(wanted.into()).await;
            } else {
                join_all(by_slot(wanted).into_iter().map(|wanted| self.send_all(wanted))).await;
            }
        }
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
                let place = alone.push(batch.op(place)?.clone()).ok()?;
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
            Err(error) => return sent.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error)))),
        };
        for (place, reply) in sent {
            let answered = answer.of(place).map(|done| {
                let op = batch.op(place).filter(|op| done.is_taken && op.act == Act::Take);
                Answered { done, undo: op.map(|op| (self.sender.clone(), op.undo(), slot)) }
            });
            // What does not arrive gives back what it took.
            drop(reply.send(answered));
        }
    }

    /// Waits for the answer longer than callers do, because only then is it known what was taken. Calls
    /// count as failed, not those who waited for them: one that is slow is no outage.
    async fn call(&self, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
        let breaker = &self.node.breaker;
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
