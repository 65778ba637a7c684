//! Acts that wait are sent together: a call takes along whatever queued while those before it were under
//! way. There is no timer, so an act that is alone waits for nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::LimiterError;
use crate::op::{Act, Done, Op, Part, Slots, Step};
use crate::redis::batch::Batch;
use crate::redis::breaker::Breaker;
use crate::redis::link::Link;

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
    reply: oneshot::Sender<Result<Answered, LimiterError>>,
}

/// What came of an act, on its way to the caller. If it does not arrive, what was taken is given back.
#[derive(Debug)]
struct Answered {
    done: Done,
    undo: Option<(mpsc::WeakSender<Waiting>, Op)>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some((sender, op)) = self.undo.take() {
            let is_told = sender.upgrade().is_some_and(|sender| tell(&sender, op));
            if !is_told {
                tracing::warn!("a charge stays although its caller has left");
            }
        }
    }
}

struct Worker {
    link: Arc<Link>,
    breaker: Arc<Breaker>,
    receiver: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    /// Does not keep the queue open.
    sender: mpsc::WeakSender<Waiting>,
}

impl Queue {
    /// Starts the tasks that send, `in_flight` calls at once. They end with the queue, or the runtime.
    pub(crate) fn start(link: &Arc<Link>, breaker: &Arc<Breaker>, in_flight: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..in_flight.max(1) {
            let (link, breaker) = (link.clone(), breaker.clone());
            let worker = Worker { link, breaker, receiver: receiver.clone(), sender: sender.downgrade() };
            tokio::spawn(worker.run());
        }
        Self { sender }
    }

    /// Whether the runtime of its tasks is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Does one act. If the caller goes away before the answer is there, what was taken is given back.
    pub(crate) async fn run(&self, op: Op) -> Result<Done, LimiterError> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Waiting { op, reply }).map_err(|_| LimiterError::Unavailable)?;
        let mut answered = answer.await.map_err(|_| LimiterError::Unavailable)??;
        answered.undo = None;
        Ok(answered.done.clone())
    }

    /// Hands an act in whose answer nobody needs. `false` when the queue is full.
    pub(crate) fn tell(&self, op: Op) -> bool {
        tell(&self.sender, op)
    }
}

fn tell(sender: &mpsc::Sender<Waiting>, op: Op) -> bool {
    sender.try_send(Waiting { op, reply: oneshot::channel().0 }).is_ok()
}

impl Worker {
    async fn run(self) {
        let mut waiting = Vec::with_capacity(TOGETHER);
        while self.receiver.lock().await.recv_many(&mut waiting, TOGETHER).await > 0 {
            // Whoever has left takes nothing, and renews nothing that may be released by now.
            let is_wanted = |waiting: &Waiting| {
                let is_late =
                    matches!(waiting.op.act, Act::Take | Act::Adjust(Slots::Renew)) && waiting.reply.is_closed();
                !is_late
            };
            let mut wanted: VecDeque<Waiting> = waiting.drain(..).filter(is_wanted).collect();
            while !wanted.is_empty() {
                self.send(&mut wanted).await;
            }
        }
    }

    /// Sends those at the front that go together.
    async fn send(&self, waiting: &mut VecDeque<Waiting>) {
        let mut batch = Batch::default();
        let mut sent = Vec::with_capacity(waiting.len());
        while let Some(Waiting { op, reply }) = waiting.pop_front() {
            match batch.push(op) {
                Ok(place) => sent.push((place, reply)),
                Err(op) => {
                    waiting.push_front(Waiting { op, reply });
                    break;
                }
            }
        }
        let answered = self.call(&batch).await;
        let answer = match answered.as_deref().map_err(|error| *error).and_then(|bytes| batch.decode(bytes)) {
            Ok(answer) => answer,
            Err(error) => return sent.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error)))),
        };
        for (place, reply) in sent {
            let answered = answer.of(place).map(|done| {
                let op = batch.op(place).filter(|op| done.is_taken && op.act == Act::Take);
                Answered { done, undo: op.map(|op| (self.sender.clone(), undo(op))) }
            });
            // What does not arrive gives back what it took.
            drop(reply.send(answered));
        }
    }

    /// Waits for the answer longer than callers do, because only then is it known what was taken. Calls
    /// count as failed, not those who waited for them: one that is slow is no outage.
    async fn call(&self, batch: &Batch) -> Result<Vec<u8>, LimiterError> {
        let call = self.link.call(batch);
        tokio::pin!(call);
        let in_time = tokio::time::timeout(self.link.deadline(), &mut call).await;
        let is_late = in_time.is_err();
        if is_late {
            self.breaker.failed(Instant::now());
        }
        let answered = match in_time {
            Ok(answered) => answered,
            Err(_) => call.await,
        };
        match &answered {
            Ok(_) => self.breaker.succeeded(),
            Err(_) if is_late => {}
            Err(_) => self.breaker.failed(Instant::now()),
        }
        answered
    }
}

fn undo(op: &Op) -> Op {
    let back = |part: &Part| {
        let less = if let Step::Take { cost, .. } = part.step { cost } else { 0 };
        Part { step: Step::Adjust { level: 0, more: 0, less, ceiling: 0 }, ..part.clone() }
    };
    Op { act: Act::Adjust(Slots::Release), parts: op.parts.iter().map(back).collect(), permit: op.permit }
}
