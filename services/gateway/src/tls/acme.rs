//! Certificates that an authority issues by ACME (RFC 8555), asked for in time and beside the requests.
//!
//! Whatever fails, the listener goes on with the certificate it has, or with its own, and there is another attempt later.

mod challenges;
mod order;
mod plan;
mod store;
mod wire;

use std::path::Path;
use std::time::Duration;

use instant_acme::{Account, Error, NewAccount};
use pipeline::Metrics;

use crate::tls::TlsError;
pub(crate) use challenges::Challenges;
pub(crate) use plan::Plan;
use store::Store;
pub(super) use store::certificate_file;
use wire::Wire;

/// How often there is a look whether a certificate is due: clocks are set, and machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5 * 60);
/// The wait after a first failure, and the longest. Let's Encrypt takes five failed challenges of a name within an hour.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// Longest pause that an authority may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// No certificate was issued.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcmeError {
    /// It cannot be reached, or does not do what is asked.
    #[error("{0}")]
    Authority(#[from] Error),
    /// It did not find that a name is ours.
    #[error("{name}: the authority did not find the answer to its question here: {why}")]
    Refused {
        /// Which name.
        name: String,
        /// In its own words.
        why: String,
    },
    /// It wants to see something else than TLS-ALPN-01.
    #[error("{name}: the authority does not offer the challenge tls-alpn-01")]
    NoChallenge {
        /// Which name.
        name: String,
    },
    /// It asks about names that were not asked for, or issues a certificate for others.
    #[error("the authority speaks of other names than it was asked for")]
    OtherNames,
    /// It is slower than an attempt may be.
    #[error("the authority takes too long")]
    TooSlow,
    /// What was issued cannot be used or kept.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Sees to it that there is a certificate.
pub(crate) struct Acme {
    plan: Plan,
    wire: Wire,
    store: Store,
    challenges: Challenges,
}

impl Acme {
    /// With what is kept in `data_dir`; authorities are answered from `challenges`.
    ///
    /// # Errors
    /// When the folder cannot be made, or nothing can be asked over TLS.
    pub(crate) fn new(plan: Plan, data_dir: &Path, challenges: Challenges) -> Result<Self, TlsError> {
        let wire = Wire::new(&plan).map_err(|_| TlsError::Make)?;
        Ok(Self { store: Store::open(data_dir)?, plan, wire, challenges })
    }

    /// Asks for a certificate whenever one is due, for ever.
    pub(crate) async fn run(self, metrics: Metrics) {
        let mut failures = 0;
        loop {
            let spread = fraction();
            while let Some(left) = self.store.left(self.plan.domains(), spread) {
                failures = 0;
                tokio::time::sleep(left.min(LOOK_EVERY)).await;
            }
            let ended = tokio::time::timeout(ATTEMPT, self.attempt()).await.unwrap_or(Err(AcmeError::TooSlow));
            metrics.certificate_ordered(ended.is_ok());
            let wait = wait(failures, self.wire.take_pause(), fraction());
            match ended {
                // Should it be due already, the authority or the clock is wrong: then this counts as a failure.
                Ok(()) if self.store.left(self.plan.domains(), spread).is_some() => {
                    tracing::info!(directory = self.plan.directory(), "a certificate was issued");
                    continue;
                }
                Ok(()) => tracing::error!(seconds = wait.as_secs(), "a certificate was issued that is due already"),
                Err(error) => {
                    let (error, seconds) = (plain(&error.to_string()), wait.as_secs());
                    tracing::error!(error, seconds, "no certificate was issued, there will be another attempt");
                }
            }
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self) -> Result<(), AcmeError> {
        let ended = self.order().await;
        if let Err(AcmeError::Authority(error)) = &ended
            && is_without_account(error)
        {
            self.store.forget_account()?;
        }
        ended
    }

    async fn order(&self) -> Result<(), AcmeError> {
        let account = self.account().await?;
        let issued = order::run(&account, self.plan.domains(), &self.challenges).await?;
        self.store.keep(&issued, self.plan.domains())
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let builder = Account::builder_with_http(Box::new(self.wire.clone()));
        if let Some(credentials) = self.store.account(self.plan.directory()) {
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.plan.contact().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let directory = self.plan.directory().to_owned();
        let (account, credentials) = builder.create(&new, directory, self.plan.binding().as_ref()).await?;
        self.store.keep_account(&credentials)?;
        Ok(account)
    }
}

/// Whether the account that is kept is of no use any more.
fn is_without_account(error: &Error) -> bool {
    match error {
        Error::KeyRejected => true,
        Error::Api(problem) => problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist"),
        _ => false,
    }
}

/// How long to wait after a failure that follows so many others. `spread`, below 1, is how much longer than need be.
fn wait(failures: u32, pause: Option<Duration>, spread: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT);
    let wait = doubled.max(pause.unwrap_or_default().min(LONGEST_PAUSE));
    wait + doubled.mul_f64(spread / 4.0)
}

/// A number from 0 to 1 that others do not have, so that gateways that start together do not ask together.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    let filled = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map_or(0.0, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// What an authority says, as far as it belongs into one line of a log.
fn plain(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(1_000).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST_PAUSE, LONGEST_WAIT, wait};

    #[test]
    fn waits_double_and_no_authority_is_asked_while_it_wants_a_pause() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!([0, 1, 2, 8].map(|failures| wait(failures, None, 0.0)), [1, 2, 4, 256].map(minutes));
        for failures in [9, 31, 32, u32::MAX] {
            assert_eq!(wait(failures, None, 0.0), LONGEST_WAIT);
        }
        assert_eq!(wait(2, None, 1.0), minutes(5));
        assert_eq!(wait(0, Some(minutes(180)), 0.0), minutes(180));
        assert_eq!(wait(3, Some(minutes(1)), 0.0), minutes(8));
        assert_eq!(wait(0, Some(Duration::MAX), 0.0), LONGEST_PAUSE);
    }
}
