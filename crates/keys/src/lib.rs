#![doc = include_str!("../README.md")]

mod base62;
mod cache;
mod error;
mod format;
mod glob;
mod hash;
mod id;
mod issuer;
mod lanes;
mod limits;
mod memory;
mod pepper;
mod principal;
mod record;
mod revocations;
mod scopes;
mod secret_file;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod throttle;
mod verifier;

/// Milliseconds since the Unix epoch. Time is an argument everywhere in this crate.
pub type UnixMillis = u64;

pub use error::{AuthError, IssueError, StoreError};
pub use format::{PresentedKey, Reason, parse};
pub use hash::{InvalidHash, SecretHash};
pub use id::{FamilyId, InvalidId, InvalidTenant, KeyId, Tenant};
pub use issuer::{IssuedKey, Issuer, MAX_GRACE, NewKey};
pub use limits::{InvalidRate, KeyLimits, Per, Rate};
pub use memory::MemoryKeyStore;
pub use pepper::{PepperError, Peppers};
pub use principal::Principal;
pub use record::{KeyRecord, Status};
pub use revocations::{Changed, Heard, InvalidChange, MemoryRevocations, Revocations, Unheard};
pub use scopes::{AdminAct, AdminScopes, InferenceScopes, Operation, Scopes, ScopesError};
pub use store::{BoxFuture, KeyStore, Revoke};
pub use throttle::network_of;
pub use verifier::{InvalidVerifier, Verifier, VerifierBuilder};
