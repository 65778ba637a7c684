//! Screen out, streamed: each event is read, its texts go through one sanitizer per slot, and what
//! may leave is framed anew.
//!
//! A slot's text that is held back leaves with the choice's last event, or before the end. The
//! stream owns the ticket: dropping it says that the caller left. The last piece waits for the outcome to be durable.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use audit::{Digester, Ended};
use backend::{BackendError, ChunkStream};
use bytes::Bytes;
use core_validate::{AnswerChunk, ModelName, Operation, Slot, Validator};
use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::code::Code;
use crate::infer::to_code;
use crate::look::note_answer;
use crate::screen_out::{LARGE, answer_id, place};
use crate::screening::{AnswerScreen, Cleaner};
use crate::servers::Entered;
use crate::ticket::{End, Ticket};
use crate::trail::Recorded;

/// How long a server may take to tell what it spent, once all is said.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Texts that may be open at once in one stream.
const SLOTS: usize = 256;

/// How a streamed answer is screened.
pub(crate) struct Screening {
    pub(crate) validator: Validator,
    pub(crate) answer: AnswerScreen,
    pub(crate) digest: Digester,
    /// Most alternatives of a token, and decimals of log-probabilities.
    pub(crate) logprobs: Option<(usize, u32)>,
    pub(crate) name: ModelName,
    pub(crate) wants_usage: bool,
    pub(crate) choices: u32,
    /// For work on large events.
    pub(crate) cores: Arc<Semaphore>,
}

impl Screening {
    /// The screened stream of framed events, up to and with `[DONE]`.
    pub(crate) fn wrap(
        self,
        ticket: Ticket,
        events: ChunkStream,
        in_flight: Entered,
    ) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
        let id = answer_id(ticket.about.operation().unwrap_or(Operation::Chat), ticket.about.request_id());
        let state = Screened {
            screening: self,
            id,
            slots: BTreeMap::new(),
            closed: Vec::new(),
            last: None,
            ready: VecDeque::new(),
            ticket: Some(ticket),
            recorded: None,
            seen: 0,
            events: Some((events, in_flight)),
            completed: None,
        };
        Box::pin(futures_util::stream::unfold(state, Screened::next))
    }
}

/// What was heard of the server.
enum Heard {
    Event(Bytes),
    Error(BackendError),
    End,
    /// The gateway stops.
    Cut,
}

struct Screened {
    screening: Screening,
    id: String,
    slots: BTreeMap<Slot, Cleaner>,
    /// Choices that ended, with whether they were filtered.
    closed: Vec<(u32, bool)>,
    /// The newest event, for the shape of events of our own.
    last: Option<AnswerChunk>,
    ready: VecDeque<Bytes>,
    ticket: Option<Ticket>,
    recorded: Option<Recorded>,
    seen: usize,
    events: Option<(ChunkStream, Entered)>,
    /// Until when the server may go on, once all is said.
    completed: Option<Instant>,
}

impl Screened {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.count(&bytes);
                if self.ready.is_empty()
                    && let Some(recorded) = self.recorded.take()
                {
                    recorded.durable().await;
                }
                return Some((bytes, self));
            }
            let is_complete = self.is_complete();
            match self.event(is_complete).await? {
                Heard::Event(event) if event.len() > LARGE => self = self.take_elsewhere(event).await?,
                Heard::Event(event) => self.take(&event),
                // All was said, whatever came of the server then.
                _ if is_complete => self.finish(),
                Heard::Error(error) => self.fail(&error),
                // Nothing was finished, so that this is no end.
                Heard::End if self.closed.is_empty() => self.fail(&BackendError::BrokeOff),
                Heard::End => self.finish(),
                Heard::Cut => self.break_off(Code::ShuttingDown),
            }
        }
    }

    /// What comes next of the server; none once nothing is heard of it any more.
    async fn event(&mut self, is_complete: bool) -> Option<Heard> {
        let (events, _) = self.events.as_mut()?;
        // What was spent may still be told, but not for ever.
        let until = is_complete.then(|| *self.completed.get_or_insert_with(|| Instant::now() + AFTERWARDS));
        let heard = async {
            match until {
                Some(until) => tokio::time::timeout_at(until, events.next()).await,
                None => Ok(events.next().await),
            }
        };
        let heard = match &mut self.ticket {
            Some(ticket) => ticket.cut().before(ticket.during(heard)).await,
            None => Some(heard.await),
        };
        Some(match heard {
            None => Heard::Cut,
            Some(Ok(Some(Ok(event)))) => Heard::Event(event),
            Some(Ok(Some(Err(error)))) => Heard::Error(error),
            Some(Ok(None) | Err(_)) => Heard::End,
        })
    }

    /// The same as [`Self::take`], off the event loop.
    async fn take_elsewhere(mut self, event: Bytes) -> Option<Self> {
        let core = self.screening.cores.clone().acquire_owned().await;
        let taken = tokio::task::spawn_blocking(move || {
            self.take(&event);
            drop(core);
            self
        });
        taken.await.ok()
    }

    fn count(&mut self, bytes: &Bytes) {
        self.screening.digest.update(bytes);
        if let Some(ticket) = &mut self.ticket {
            ticket.used.output_bytes += bytes.len() as u64;
        }
        if self.ready.is_empty() && self.events.is_none() {
            self.close();
        }
    }

    /// Every choice that was asked for has ended.
    fn is_complete(&self) -> bool {
        self.closed.len() >= self.screening.choices as usize
    }

    fn take(&mut self, event: &Bytes) {
        let mut chunk = match self.screening.validator.parse_chunk(event) {
            Ok(chunk) => chunk,
            Err(_) if self.is_complete() => return self.finish(),
            Err(_) => return self.fail(&BackendError::Protocol),
        };
        if chunk.choices().iter().any(|choice| *choice >= self.screening.choices) || self.slots.len() > SLOTS {
            return self.fail(&BackendError::Protocol);
        }
        chunk.rename(&self.id, &self.screening.name);
        if let Some((most, decimals)) = self.screening.logprobs {
            chunk.limit_logprobs(most, decimals);
        }
        if let (Some(usage), Some(ticket)) = (chunk.usage(), &mut self.ticket) {
            ticket.reports(usage);
        }
        if chunk.is_usage_only() {
            if self.screening.wants_usage && chunk.usage().is_some() {
                self.send(&chunk);
            }
            if self.is_complete() && chunk.usage().is_some() {
                self.finish();
            }
            return;
        }
        if !self.screening.wants_usage {
            chunk.drop_usage();
        }
        for (choice, _) in self.closed.clone() {
            chunk.drop_choice(choice);
        }
        let filtered = self.screen(&mut chunk);
        self.last = Some(chunk.shape());
        for choice in filtered {
            chunk.drop_choice(choice);
            self.filter(choice);
        }
        for choice in chunk.finished() {
            if !self.end_choice(choice, &chunk) {
                chunk.drop_choice(choice);
            }
        }
        if !chunk.is_usage_only() {
            self.send(&chunk);
        }
        let is_cut = self.end_cut(&chunk);
        if self.is_complete() && (is_cut || self.closed.iter().all(|(_, filtered)| *filtered)) {
            self.finish();
        }
    }

    /// Ends the choices that have said as much as may be handed out; whether there were some. The server need not go on
    /// then.
    fn end_cut(&mut self, chunk: &AnswerChunk) -> bool {
        let is_open = |choice: u32| !self.closed.iter().any(|(closed, _)| *closed == choice);
        let cut = self.slots.iter().filter(|(_, cleaner)| cleaner.is_cut()).map(|(slot, _)| slot.choice());
        let mut cut: Vec<u32> = cut.filter(|choice| is_open(*choice)).collect();
        cut.sort_unstable();
        cut.dedup();
        for choice in &cut {
            if self.end_choice(*choice, chunk) {
                self.send(&chunk.with_cut(*choice));
            }
        }
        !cut.is_empty()
    }

    /// Puts every text of the event through its slot; gives the choices that must stop.
    fn screen(&mut self, chunk: &mut AnswerChunk) -> Vec<u32> {
        let finished = chunk.finished();
        let (slots, answer, seen) = (&mut self.slots, &self.screening.answer, &mut self.seen);
        let mut filtered = Vec::new();
        let mut noted = Vec::new();
        chunk.map_texts(|slot, text| {
            *seen += text.len();
            let is_last = matches!(slot, Slot::Label(_)) || finished.contains(&slot.choice());
            let mut stream = slots.remove(&slot).unwrap_or_else(|| answer.cleaner(slot));
            let released = stream
                .push(text)
                .and_then(|released| if is_last { Ok(released + &stream.finish()?) } else { Ok(released) });
            match released {
                Ok(released) => *text = released,
                Err(_) => {
                    text.clear();
                    filtered.push(slot.choice());
                }
            }
            if is_last {
                noted.push((slot, stream));
            } else {
                slots.insert(slot, stream);
            }
        });
        if let Some(ticket) = &mut self.ticket {
            for (slot, stream) in noted {
                note_answer(&mut ticket.about.findings, stream.findings(), &place(Operation::Chat, slot));
            }
            ticket.saw(self.seen);
            ticket.keep();
        }
        filtered.sort_unstable();
        filtered.dedup();
        filtered
    }

    /// Lets go of what the choice's slots still hold, before its last event; `false` when it must
    /// not leave, so that the choice ended as filtered.
    fn end_choice(&mut self, choice: u32, chunk: &AnswerChunk) -> bool {
        let slots: Vec<Slot> = self.slots.keys().copied().filter(|slot| slot.choice() == choice).collect();
        for slot in slots {
            let Some(mut stream) = self.slots.remove(&slot) else { continue };
            let rest = stream.finish();
            self.note_findings(slot, &stream);
            match rest {
                Ok(rest) if rest.is_empty() => {}
                Ok(rest) => self.send(&chunk.with_text(slot, &rest)),
                Err(_) => {
                    self.filter(choice);
                    return false;
                }
            }
        }
        self.closed.push((choice, false));
        true
    }

    fn filter(&mut self, choice: u32) {
        let slots: Vec<Slot> = self.slots.keys().copied().filter(|slot| slot.choice() == choice).collect();
        for slot in slots {
            if let Some(stream) = self.slots.remove(&slot) {
                self.note_findings(slot, &stream);
            }
        }
        if let Some(end) = self.last.as_ref().map(|last| last.with_filtered(choice)) {
            self.send(&end);
        }
        self.closed.retain(|(closed, _)| *closed != choice);
        self.closed.push((choice, true));
    }

    fn note_findings(&mut self, slot: Slot, stream: &Cleaner) {
        if let Some(ticket) = &mut self.ticket {
            note_answer(&mut ticket.about.findings, stream.findings(), &place(Operation::Chat, slot));
        }
    }

    /// Findings of slots that have not ended.
    fn note_open(&self, ticket: &mut Ticket) {
        for (slot, stream) in &self.slots {
            note_answer(&mut ticket.about.findings, stream.findings(), &place(Operation::Chat, *slot));
        }
    }

    fn send(&mut self, chunk: &AnswerChunk) {
        self.ready.push_back(frame(&chunk.to_body().bytes));
    }

    /// The server said everything: what is still held leaves, then the end mark.
    fn finish(&mut self) {
        self.events = None;
        let open: Vec<u32> = self.slots.keys().map(|slot| slot.choice()).collect();
        if let Some(last) = self.last.clone() {
            for choice in open {
                if !self.closed.iter().any(|(closed, _)| *closed == choice) {
                    self.end_choice(choice, &last);
                }
            }
        }
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    fn fail(&mut self, error: &BackendError) {
        if let Some(ticket) = &self.ticket {
            tracing::warn!(request_id = ticket.about.request_id(), %error, "the stream broke");
        }
        self.break_off(to_code(error));
    }

    /// There is no more to come: the caller gets an error event in the dialect's shape, and no end mark.
    fn break_off(&mut self, code: Code) {
        self.events = None;
        let Some(ticket) = self.ticket.take() else { return };
        let text = format!(
            r#"{{"error":{{"message":"{} (request {})","type":"server_error","param":null,"code":"{}"}}}}"#,
            code.message(),
            ticket.about.request_id(),
            code.as_str()
        );
        self.ready.push_back(frame(text.as_bytes()));
        self.settle(ticket, Ended::Failed, Some(code));
    }

    fn close(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let is_filtered = self.closed.iter().any(|(_, filtered)| *filtered);
        let ended = if is_filtered { Ended::Blocked } else { Ended::Complete };
        self.settle(ticket, ended, is_filtered.then_some(Code::AnswerBlocked));
    }

    fn settle(&mut self, mut ticket: Ticket, ended: Ended, code: Option<Code>) {
        self.note_open(&mut ticket);
        ticket.saw(self.seen);
        ticket.used.output_digest = self.screening.digest.finish();
        let end = End { ended: Some(ended), status: 200, code: code.map(Code::as_str) };
        self.recorded = Some(ticket.close(end));
    }
}

impl Drop for Screened {
    fn drop(&mut self) {
        if let Some(mut ticket) = self.ticket.take() {
            self.note_open(&mut ticket);
            ticket.saw(self.seen);
            ticket.used.output_digest = self.screening.digest.finish();
        }
    }
}

fn frame(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}
