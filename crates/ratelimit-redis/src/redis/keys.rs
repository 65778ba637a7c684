//! Names of keys. A cluster puts a key into the slot of its hash tag, so that all keys of a bucket carry the
//! same one: the first part of the bucket's name in braces, or else the whole name.
//!
//! A tag of our own begins with a colon, so that it is never empty, and follows no colon, so that the buckets
//! `a` and `{a}` have different keys.

use redis_place::{hash_tag, tag_slot};

/// The key of a bucket's record.
pub(crate) fn record_key(prefix: &str, bucket: &str) -> String {
    match hash_tag(bucket) {
        Some(_) => [prefix, "b:", bucket].concat(),
        None => [prefix, "b{:", bucket, "}"].concat(),
    }
}

/// The key of a bucket's slots.
pub(crate) fn slots_key(prefix: &str, unit: &str, bucket: &str) -> String {
    match hash_tag(bucket) {
        Some(_) => format!("{prefix}s:{unit}:{bucket}"),
        None => format!("{prefix}s:{unit}{{:{bucket}}}"),
    }
}

/// Whether a prefix or a unit would take the place of the tag.
pub(crate) fn is_in_the_way(text: &str) -> bool {
    text.contains('{')
}

/// The slot of all keys of a bucket.
pub(crate) fn slot(bucket: &str) -> u16 {
    match hash_tag(bucket) {
        Some(tag) => tag_slot(tag.bytes()),
        None => tag_slot(b":".iter().copied().chain(bucket.split('}').next().unwrap_or_default().bytes())),
    }
}

#[cfg(test)]
mod tests {
    use redis_place::key_slot;

    use super::*;

    #[test]
    fn all_keys_of_a_bucket_lie_in_its_slot() {
        for name in ["", "a", "{a}", "key:{team}:1", "}", "{", "{}", "{}a", "}a{b}", "a}b", "a{b", "a{}{b}", "{a"] {
            assert_eq!(key_slot(&record_key("rl1:", name)), slot(name), "{name}");
            assert_eq!(key_slot(&slots_key("rl1:", "slots", name)), slot(name), "{name}");
        }
        assert_eq!(slot("{team}:a"), slot("b:{team}"));
        assert_ne!(record_key("", "a"), record_key("", "{a}"));
    }
}
