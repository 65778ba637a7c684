//! What is known of a request so far, for its refusal, its audit records and its log line.

use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use audit::{Noted, Who};
use core_validate::{ModelName, Operation};
use keys::Principal;

/// What is known of a request. Grows from step to step; nothing in it decides anything.
#[derive(Debug, Clone)]
pub struct About {
    pub(crate) request_id: String,
    pub(crate) address: IpAddr,
    pub(crate) operation: Option<Operation>,
    pub(crate) started: Instant,
    pub(crate) principal: Option<Principal>,
    pub(crate) model: Option<ModelName>,
    pub(crate) findings: Vec<Noted>,
}

impl About {
    /// A request that has just arrived.
    pub fn new(request_id: String, address: IpAddr, operation: Option<Operation>) -> Self {
        let started = Instant::now();
        Self { request_id, address, operation, started, principal: None, model: None, findings: Vec::new() }
    }

    /// The same request, now that it is known what it asks for.
    #[must_use]
    pub fn asking(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// The id of the request, ours in every case.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Who is calling, once that is known.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// What is asked for.
    pub fn operation(&self) -> Option<Operation> {
        self.operation
    }

    pub(crate) fn operation_word(&self) -> &'static str {
        self.operation.map_or("none", Operation::as_str)
    }

    /// The caller, as the audit trail names it.
    pub fn who(&self) -> Who {
        let mut who = Who::default();
        who.address = Some(self.address.to_string());
        if let Some(principal) = &self.principal {
            who.key_id = Some(principal.key_id().to_string());
            who.family = Some(principal.family().to_string());
            who.tenant = Some(principal.tenant().to_string());
        }
        who
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
