//! Keys in Postgres, for any number of gateways.

use std::ops::Range;

use keys::{
    Asked, FamilyId, KeyId, KeyRecord, KeyStore, OnceRecord, Rehash, Revoke, StoreError, Stored, Tenant, TenantRecord,
    UnixMillis,
};
use sqlx::postgres::PgPool;

use crate::connect::{connect, failure};
use crate::row::{bind, bind_terms, hex, read, read_once, read_tenant, time};
use crate::rows::{NOTED_AT_ONCE, insert, key_rows};

const CONNECTIONS: u32 = 8;

/// Keys in a Postgres database that gateways share.
///
/// A server that cannot be reached, or takes longer than a few seconds, is
/// [`StoreError::Unavailable`]; connections are made anew on the next call.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host/database` and brings the schema up to date; when
    /// several gateways start at once, one does and the others wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, [`StoreError::Unusable`] when the address
    /// is none or the schema is newer.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { pool: connect(url, CONNECTIONS).await? })
    }

    /// Closes every connection. Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    #[expect(clippy::unnecessary_wraps, reason = "the statements are shared with a store that can be gone")]
    fn pool(&self) -> Result<&PgPool, StoreError> {
        Ok(&self.pool)
    }
}

// The lock of the first admin is a number of our own; it ends with its transaction. Names are ordered by bytes,
// whatever the collation of the database.
key_rows!(
    PostgresStore,
    sqlx::Postgres,
    begin: "BEGIN",
    first: "SELECT pg_advisory_xact_lock(7305478123)",
    lock: " FOR UPDATE",
    share: " FOR SHARE",
    by_bytes: " COLLATE \"C\"",
    unlocked: " FOR UPDATE SKIP LOCKED"
);
