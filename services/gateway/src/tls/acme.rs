//! Certificates that an authority issues by ACME (RFC 8555), asked for in time and beside the requests.
//!
//! Whatever fails, the listener goes on with the certificate it has, or with its own, and there is another attempt later.

mod challenges;
mod order;
mod plan;
mod store;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, Error, NewAccount, Order};
use pipeline::Metrics;
use zeroize::Zeroizing;

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
    /// What is kept came from another one.
    #[error("the certificate is of another directory")]
    OtherDirectory,
    /// It is slower than an attempt may be.
    #[error("the authority takes too long")]
    TooSlow,
    /// What was issued cannot be used or kept.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Sees to it that there is a certificate.
pub(crate) struct Acme {
    plan: Arc<Plan>,
    wire: Wire,
    store: Arc<Store>,
    challenges: Challenges,
}

/// What outlasts a failed attempt.
#[derive(Default)]
struct Held {
    /// What was issued and is not kept yet: an authority issues the same only a few times a week.
    issued: Option<Arc<Zeroizing<String>>>,
    /// Whether an account was forgotten that may be good.
    has_forgotten: bool,
}

impl Acme {
    /// With what is kept in `data_dir`; authorities are answered from `challenges`.
    ///
    /// # Errors
    /// When the folder cannot be made, or nothing can be asked over TLS.
    pub(crate) fn new(plan: Plan, data_dir: &Path, challenges: Challenges) -> Result<Self, TlsError> {
        let wire = Wire::new(&plan).map_err(|_| TlsError::Make)?;
        Ok(Self { store: Arc::new(Store::open(data_dir)?), plan: Arc::new(plan), wire, challenges })
    }

    /// Asks for a certificate whenever one is due, for ever.
    pub(crate) async fn run(self, metrics: Metrics) {
        let mut failures = 0;
        let mut held = Held::default();
        loop {
            let spread = fraction();
            while let Some(left) = self.left(spread).await {
                // What was held is of no more use.
                (failures, held) = (0, Held::default());
                tokio::time::sleep(left.min(LOOK_EVERY)).await;
            }
            let ended = tokio::time::timeout(ATTEMPT, self.attempt(&mut held)).await.unwrap_or(Err(AcmeError::TooSlow));
            metrics.certificate_ordered(ended.is_ok());
            let wait = wait(failures, self.wire.take_pause(), fraction());
            match ended {
                // Should it be due already, the authority or the clock is wrong: then this counts as a failure.
                Ok(()) if self.left(spread).await.is_some() => {
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

    async fn attempt(&self, held: &mut Held) -> Result<(), AcmeError> {
        let issued = match &held.issued {
            Some(issued) => issued.clone(),
            None => {
                self.on_disk(|store, _| store.probe()).await??;
                let order = self.begin(held).await?;
                let issued = order::run(order, self.plan.domains(), &self.challenges).await?;
                held.issued.insert(Arc::new(issued)).clone()
            }
        };
        let kept = self.on_disk(move |store, plan| store.keep(&issued, plan)).await?;
        // The disk may have room later. What cannot be used never can.
        if !matches!(kept, Err(AcmeError::Tls(TlsError::File { .. }))) {
            held.issued = None;
        }
        kept
    }

    /// An order, with the account that is kept or a new one; one that is of no use is forgotten.
    async fn begin(&self, held: &mut Held) -> Result<Order, AcmeError> {
        let begun = match self.account().await {
            Ok(account) => order::begin(&account, self.plan.domains()).await.map_err(AcmeError::from),
            Err(error) => Err(error),
        };
        if let Err(AcmeError::Authority(error)) = &begun
            && (is_without_account(error)
                || is_unauthorized(error) && !std::mem::replace(&mut held.has_forgotten, true))
            && let Err(error) = self.on_disk(|store, _| store.forget_account()).await?
        {
            tracing::error!(%error, "an account that is of no use is not forgotten");
        }
        begun
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let builder = Account::builder_with_http(Box::new(self.wire.clone()));
        if let Some(credentials) = self.on_disk(Store::account).await? {
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.plan.contact().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let directory = self.plan.directory().to_owned();
        let (account, credentials) = builder.create(&new, directory, self.plan.binding().as_ref()).await?;
        self.on_disk(move |store, plan| store.keep_account(&credentials, plan)).await??;
        Ok(account)
    }

    async fn left(&self, spread: f64) -> Option<Duration> {
        self.on_disk(move |store, plan| store.left(plan, spread)).await.ok().flatten()
    }

    /// Beside the requests: disks are slow, and so are keys.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store, &Plan) -> T + Send + 'static,
    ) -> Result<T, TlsError> {
        let (store, plan) = (self.store.clone(), self.plan.clone());
        tokio::task::spawn_blocking(move || act(&store, &plan)).await.map_err(|_| TlsError::Make)
    }
}

/// Whether the account that is kept is of no use any more.
fn is_without_account(error: &Error) -> bool {
    matches!(error, Error::KeyRejected) || is_problem(error, "urn:ietf:params:acme:error:accountDoesNotExist")
}

/// What an account gets that was deactivated or revoked (RFC 8555, 7.3.6), but others may as well.
fn is_unauthorized(error: &Error) -> bool {
    is_problem(error, "urn:ietf:params:acme:error:unauthorized")
}

fn is_problem(error: &Error, kind: &str) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(kind))
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
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};
    use zeroize::Zeroizing;

    use super::{Acme, AcmeError, Challenges, Held, LONGEST_PAUSE, LONGEST_WAIT, Plan, wait};
    use crate::config::Settings;

    fn issued(name: &str) -> Held {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let text = Zeroizing::new(key.serialize_pem() + &certificate.pem());
        Held { issued: Some(Arc::new(text)), has_forgotten: false }
    }

    /// Whose authority cannot be reached.
    fn alone(data: &Path) -> Acme {
        let roots = data.join("roots.pem");
        std::fs::write(&roots, issued("localhost").issued.unwrap().as_bytes()).unwrap();
        let text = format!(
            "[server.acme]\ndomains = [\"a.test\"]\nagree_to_terms = true\ndirectory = \"https://localhost:1/d\"\n\
             directory_ca = \"{}\"",
            roots.display()
        );
        let plan = Plan::of(&Settings::parse(&text).unwrap().server).unwrap().unwrap();
        Acme::new(plan, data, Challenges::default()).unwrap()
    }

    #[tokio::test]
    async fn what_was_issued_is_held_until_it_can_be_written_and_no_authority_is_asked() {
        let data = tempfile::tempdir().unwrap();
        let (acme, mut held) = (alone(data.path()), issued("a.test"));
        // No file takes the place of a folder.
        let stands = data.path().join("acme/certificate.pem");
        std::fs::create_dir(&stands).unwrap();
        assert!(matches!(acme.attempt(&mut held).await, Err(AcmeError::Tls(_))));
        assert!(!data.path().join("acme/certificate.new").exists(), "a key is left");
        assert!(held.issued.is_some());
        std::fs::remove_dir(&stands).unwrap();
        acme.attempt(&mut held).await.unwrap();
        assert!(held.issued.is_none());
        assert!(acme.left(0.0).await.is_some());
        // What can never be used is not held.
        let mut held = issued("b.test");
        assert!(matches!(acme.attempt(&mut held).await, Err(AcmeError::OtherNames)));
        assert!(held.issued.is_none());
    }

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
