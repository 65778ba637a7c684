//! The crate as its users see it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod export;
mod kept;
mod keys;
mod log;
mod parts;
mod proofs;
mod removal;
mod segments;
mod since;
mod support;
mod tamper;
mod tree;

use audit::testing::{MemorySink, removes, suite};

#[tokio::test]
async fn memory_sink_passes_the_suite() {
    suite(async || MemorySink::new()).await;
    removes(MemorySink::new()).await;
}

#[tokio::test]
async fn segment_file_passes_the_suite() {
    let dirs = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    for segment_bytes in [1, 100, 1 << 20] {
        suite(async || {
            let dir = dirs.path().join(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
            audit::SegmentFile::open(&dir).unwrap().segment_bytes(segment_bytes)
        })
        .await;
    }
    removes(audit::SegmentFile::open(&dirs.path().join("removes")).unwrap().segment_bytes(1)).await;
}
