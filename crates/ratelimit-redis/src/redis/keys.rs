//! Names of keys. A cluster puts a key into the slot of its hash tag, so that all keys of a bucket carry the
//! same one: the first part of the bucket's name in braces, or else the whole name.
//!
//! A tag of our own begins with a colon, so that it is never empty, and follows no colon, so that the buckets
//! `a` and `{a}` have different keys.

/// The key of a bucket's record.
pub(crate) fn record_key(prefix: &str, bucket: &str) -> String {
    match tag(bucket) {
        Some(_) => [prefix, "b:", bucket].concat(),
        None => [prefix, "b{:", bucket, "}"].concat(),
    }
}

/// The key of a bucket's slots.
pub(crate) fn slots_key(prefix: &str, unit: &str, bucket: &str) -> String {
    match tag(bucket) {
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
    let crc = match tag(bucket) {
        Some(tag) => crc16(0, tag),
        None => crc16(crc16(0, ":"), bucket.split('}').next().unwrap_or_default()),
    };
    crc % 16_384
}

/// What a name has between its first brace and the next one that closes.
fn tag(bucket: &str) -> Option<&str> {
    let (_, rest) = bucket.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// CRC-16/XMODEM, as the specification of Redis Cluster wants it.
fn crc16(crc: u16, text: &str) -> u16 {
    text.bytes().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server computes it from a key.
    fn slot_of_key(key: &str) -> u16 {
        crc16(0, tag(key).unwrap_or(key)) % 16_384
    }

    #[test]
    fn all_keys_of_a_bucket_lie_in_its_slot() {
        assert_eq!(crc16(0, "123456789"), 0x31c3);
        for name in ["", "a", "{a}", "key:{team}:1", "}", "{", "{}", "{}a", "}a{b}", "a}b", "a{b", "a{}{b}", "{a"] {
            assert_eq!(slot_of_key(&record_key("rl1:", name)), slot(name), "{name}");
            assert_eq!(slot_of_key(&slots_key("rl1:", "slots", name)), slot(name), "{name}");
        }
        assert_eq!(slot("{team}:a"), slot("b:{team}"));
        assert_ne!(record_key("", "a"), record_key("", "{a}"));
    }
}
