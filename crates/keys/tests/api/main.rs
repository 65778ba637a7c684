//! The crate as its users see it.
#![expect(clippy::string_slice, clippy::unwrap_used, reason = "a test fails by panicking")]

mod format;
mod hearing;
mod issue;
mod lineage;
mod once;
mod parts;
mod peppers;
mod scopes;
mod support;
mod terms;
mod throttle;
mod verify;

#[tokio::test]
async fn memory_store_passes_the_suite() {
    keys::testing::suite(async || keys::MemoryKeyStore::new()).await;
}

#[tokio::test]
async fn memory_revocations_pass_the_suite() {
    keys::testing::revocations_suite(async || {
        let revocations = keys::MemoryRevocations::new();
        (revocations.clone(), revocations)
    })
    .await;
}
