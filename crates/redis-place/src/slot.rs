//! The slots of a cluster. A key lies in the slot of its hash tag, or else of the whole key.

/// How many slots a cluster has.
pub(crate) const SLOTS: usize = 16_384;

/// The slot of a key.
pub fn key_slot(key: &str) -> u16 {
    tag_slot(hash_tag(key).unwrap_or(key).bytes())
}

/// What a key has between its first brace and the next one that closes.
pub fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// The slot of all keys with this hash tag.
pub fn tag_slot(tag: impl IntoIterator<Item = u8>) -> u16 {
    crc16(tag) % 16_384
}

/// CRC-16/XMODEM, as the specification of Redis Cluster wants it.
fn crc16(bytes: impl IntoIterator<Item = u8>) -> u16 {
    bytes.into_iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_in_the_slot_of_its_tag() {
        assert_eq!(crc16("123456789".bytes()), 0x31c3);
        assert_eq!(key_slot("{team}:a"), key_slot("b:{team}"));
        assert_eq!(key_slot("b:{team}"), tag_slot("team".bytes()));
        for whole in ["", "a", "{", "}", "{}", "{}a", "a{b", "}a"] {
            assert_eq!(hash_tag(whole), None, "{whole}");
            assert_eq!(key_slot(whole), tag_slot(whole.bytes()), "{whole}");
        }
        assert_eq!(hash_tag("}a{b}{c}"), Some("b"));
    }
}
