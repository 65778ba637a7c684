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
mod lineage;
mod memory;
mod networks;
mod once;
#[cfg(feature = "openapi")]
mod openapi;
mod pepper;
mod principal;
mod record;
mod revocations;
mod scopes;
mod secret_file;
mod store;
mod tenant;
mod terms;
#[cfg(feature = "testing")]
pub mod testing;
mod throttle;
mod verifier;

/// Milliseconds since the Unix epoch. Time is an argument everywhere in this crate.
pub type UnixMillis = u64;

pub use error::{AuthError, IssueError, StoreError};
pub use format::{PresentedKey, Reason, parse};
pub use hash::{InvalidHash, SecretHash};
pub use id::{FamilyId, InvalidId, KeyId};
pub use issuer::{Change, IssuedKey, Issuer, MAX_GRACE, MAX_LIST, NewKey, Updated};
pub use limits::{InvalidRate, KeyLimits, Per, Rate};
pub use lineage::MAX_MAKERS;
pub use memory::MemoryKeyStore;
pub use networks::{InvalidNetworks, Networks};
pub use once::{InvalidOnce, ONCE_TTL, Once, OnceRecord};
pub use pepper::{PepperError, Peppers};
pub use principal::Principal;
pub use record::{KeyRecord, Status};
pub use revocations::{Changed, Heard, InvalidChanged, MemoryRevocations, Revocations, Unheard};
pub use scopes::{AdminAct, AdminScopes, InferenceScopes, Operation, Scopes, ScopesError};
pub use store::{Asked, BoxFuture, KeyStore, Rehash, Revoke, Stored};
pub use tenant::{InvalidTenant, Tenant, TenantRecord};
pub use terms::Terms;
pub use throttle::network_of;
pub use verifier::{AWAY_TTL, InvalidVerifier, Verifier, VerifierBuilder};
