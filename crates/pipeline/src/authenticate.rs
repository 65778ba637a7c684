//! Authenticate: a presented key becomes a principal, and is dropped.

use core_validate::Head;
use keys::{AuthError, Principal, Verifier};

use crate::about::{About, unix_millis};
use crate::code::{Code, Step};
use crate::policy::Policy;
use crate::received::{Received, Unread};
use crate::rejection::Rejection;

/// A request whose caller is known; its body is still unread.
pub struct Authenticated {
    pub(crate) about: About,
    pub(crate) principal: Principal,
    pub(crate) head: Head,
    pub(crate) body: Unread,
}

impl Received {
    /// Checks the key. All ways to be wrong look alike from outside.
    ///
    /// # Errors
    /// 401 for a key that is not valid, 429 after many failures from one address, 503 when keys
    /// cannot be checked.
    pub async fn authenticate(self, verifier: &Verifier) -> Result<Authenticated, Rejection> {
        let Self { mut about, presented, head, body } = self;
        let principal = verify(verifier, presented, &mut about).await?;
        Ok(Authenticated { about, principal, head, body })
    }
}

impl Authenticated {
    /// Refuses early, before a body is read, when the path names a model that is not in scope.
    pub(crate) fn in_scope(mut self, policy: &Policy) -> Result<Self, Rejection> {
        let Some((name, operation)) = self.head.model.clone().zip(self.about.operation) else { return Ok(self) };
        if policy.model(&self.principal, &name, operation).is_some() {
            return Ok(self);
        }
        self.about.model = Some(name);
        Err(Rejection::new(self.about, Step::Admit, Code::ModelNotFound))
    }
}

/// Checks a key for a request without a body.
pub(crate) async fn verify(
    verifier: &Verifier,
    presented: Option<String>,
    about: &mut About,
) -> Result<Principal, Rejection> {
    let Some(presented) = presented else {
        return Err(Rejection::new(about.clone(), Step::Authenticate, Code::InvalidApiKey).reason_of("missing"));
    };
    match verifier.verify(&presented, about.address, unix_millis()).await {
        Ok(principal) => {
            about.principal = Some(principal.clone());
            Ok(principal)
        }
        Err(error) => Err(refusal(about.clone(), &error)),
    }
}

fn refusal(about: About, error: &AuthError) -> Rejection {
    let refuse = |code| Rejection::new(about, Step::Authenticate, code).reason_of(error.reason());
    match error {
        AuthError::Throttled { retry_after } => refuse(Code::TooManyFailures).retry_after_of(*retry_after),
        AuthError::Busy { retry_after } => refuse(Code::Busy).retry_after_of(*retry_after),
        AuthError::StoreUnavailable | AuthError::PepperMissing => refuse(Code::KeysUnavailable),
        _ => refuse(Code::InvalidApiKey),
    }
}
