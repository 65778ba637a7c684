//! Screen in: every text that a model may read is looked at.

use std::sync::Arc;

use audit::Noted;
use core_validate::{InferenceRequest, Origin, Pointer, Text};
use ratelimit_redis::Standing;
use sanitize::{Action, Finding, Mode, Sanitizer};
use tokio::sync::Semaphore;

use crate::about::About;
use crate::admit::Admitted;
use crate::code::{Code, Step};
use crate::policy::Model;
use crate::rejection::Rejection;
use crate::ticket::{End, Ticket};

/// Texts of larger bodies are screened off the event loop: a millisecond of work, or fifty of the worst texts there are.
const LARGE: usize = 16 << 10;
/// Findings that are kept of one request.
const FINDINGS: usize = 64;

/// A request whose texts were screened.
pub struct Screened {
    pub(crate) ticket: Ticket,
    pub(crate) request: InferenceRequest,
    pub(crate) model: Arc<Model>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) body_bytes: usize,
}

impl Admitted {
    /// Screens every text. System texts are left alone when the key holds `trust:system`.
    pub(crate) async fn screen_in(self, sanitizer: &Sanitizer, cores: &Arc<Semaphore>) -> Result<Screened, Rejection> {
        let Self { mut ticket, request, model, standings, body_bytes } = self;
        let trusts_system = ticket.about.principal().is_some_and(|principal| principal.scopes().trusts_system());
        let looked = if body_bytes <= LARGE || request.texts().next().is_none() {
            Some(look(request, sanitizer, trusts_system))
        } else {
            // More at once would only take memory, and the cores away from those who decide and record.
            // Core and room go with the work, which goes on when the caller leaves.
            let core = cores.clone().acquire_owned().await;
            let (sanitizer, room) = (sanitizer.clone(), ticket.take_room());
            let looking = tokio::task::spawn_blocking(move || {
                let looked = look(request, &sanitizer, trusts_system);
                drop(core);
                (looked, room)
            });
            looking.await.ok().map(|(looked, room)| {
                ticket.keep_room(room);
                looked
            })
        };
        let Some(Looked { request, findings, blocked }) = looked else {
            return Err(refuse(ticket, Code::Internal, None));
        };
        ticket.about.findings = findings;
        match blocked {
            None => Ok(Screened { ticket, request, model, standings, body_bytes }),
            Some(blocked) => Err(refuse(ticket, Code::PromptBlocked, Some(blocked))),
        }
    }
}

/// Gives the tokens back and keeps the request: nothing was sent. The refusal is recorded by the
/// pipeline's one exit.
fn refuse(ticket: Ticket, code: Code, at: Option<Pointer>) -> Rejection {
    let about: About = ticket.about.clone();
    let ended = if code == Code::PromptBlocked { audit::Ended::Blocked } else { audit::Ended::Failed };
    ticket.close(End { ended: Some(ended), status: code.status(), code: Some(code.as_str()) });
    Rejection::new(about, Step::ScreenIn, code).at_of(at.unwrap_or_default())
}

struct Looked {
    request: InferenceRequest,
    findings: Vec<Noted>,
    blocked: Option<Pointer>,
}

fn look(mut request: InferenceRequest, sanitizer: &Sanitizer, trusts_system: bool) -> Looked {
    let mut findings = Vec::new();
    let mut blocked = None;
    let Ok(()) = request.map_texts(|text| {
        if text.origin() == Origin::System && trusts_system {
            return Ok::<_, std::convert::Infallible>(None);
        }
        let said = text.text();
        let verdict = sanitizer.check(&said);
        if verdict.findings().is_empty() {
            return Ok(None);
        }
        note(&mut findings, verdict.findings(), text.pointer().as_str());
        match verdict.action() {
            Action::Redact if is_prose(text) => return Ok(Some(verdict.into_text().into_owned())),
            Action::Block | Action::Redact => blocked = blocked.take().or_else(|| Some(text.pointer())),
            _ => {}
        }
        Ok(None)
    });
    for (pointer, _, text) in
        request.joined_texts().into_iter().filter(|(_, origin, _)| !(*origin == Origin::System && trusts_system))
    {
        let verdict = sanitizer.check(&text);
        if verdict.action() != Action::Allow && blocked.is_none() {
            note(&mut findings, verdict.findings(), pointer.as_str());
            blocked = Some(pointer);
        }
    }
    Looked { request, findings, blocked }
}

/// Whether a text may be rewritten. A key that is, may come to be another field; a stop word or a choice, nothing;
/// and neither was checked.
fn is_prose(text: &Text<'_>) -> bool {
    let is_said = matches!(
        text.origin(),
        Origin::User
            | Origin::System
            | Origin::Assistant
            | Origin::ToolResult
            | Origin::ToolDescription
            | Origin::Element
    );
    is_said && !text.is_key()
}

/// Adds findings as the audit trail keeps them.
pub(crate) fn note(noted: &mut Vec<Noted>, findings: &[Finding], pointer: &str) {
    for finding in findings.iter().take(FINDINGS.saturating_sub(noted.len())) {
        noted.push(Noted {
            detector: finding.label().as_str().to_owned(),
            label: finding.rule().to_owned(),
            action: match finding.action() {
                Action::Block => "block",
                Action::Redact => "redact",
                _ => "allow",
            }
            .to_owned(),
            pointer: pointer.to_owned(),
            mode: match finding.mode() {
                Mode::Observe => "observe",
                _ => "enforce",
            }
            .to_owned(),
        });
    }
}
