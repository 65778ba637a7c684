//! Base64 (RFC 4648) that is looked into without being decoded as a whole.

use std::borrow::Cow;

/// Sound base64 in the standard alphabet. Servers that decode leniently skip the letters of the address-safe one, and see
/// other bytes than who decodes it.
pub(super) struct Base64<'t> {
    /// Those that can be looked at.
    digits: Cow<'t, [u8]>,
    count: usize,
}

/// Digits that are kept of what was written with escapes, so that nobody fills memory with them: 192 KiB of an image
/// hold its size.
const KEPT: usize = 256 << 10;

impl<'t> Base64<'t> {
    /// Checks alphabet and padding.
    pub(super) fn new(text: &'t str) -> Option<Self> {
        let digits = text.trim_end_matches('=');
        let padding = text.len() - digits.len();
        let is_padded = padding <= 2 && (padding == 0 || text.len().is_multiple_of(4));
        let is_sound = digits.bytes().fold(true, |sound, byte| sound & digit(byte).is_some());
        let is_sound = is_sound && is_padded && digits.len() % 4 != 1;
        (is_sound && !digits.is_empty()).then_some(Self { digits: digits.as_bytes().into(), count: digits.len() })
    }

    /// The same for what was written with escapes.
    pub(super) fn of_chars(chars: impl Iterator<Item = char>) -> Option<Self> {
        let (mut kept, mut count, mut padding) = (Vec::new(), 0_usize, 0_usize);
        for char in chars {
            let byte = u8::try_from(char).ok()?;
            match byte {
                b'=' => padding += 1,
                _ if padding > 0 || digit(byte).is_none() => return None,
                _ => count += 1,
            }
            if padding == 0 && kept.len() < KEPT {
                kept.push(byte);
            }
        }
        let is_padded = padding <= 2 && (padding == 0 || (count + padding).is_multiple_of(4));
        let is_sound = is_padded && count > 0 && count % 4 != 1;
        is_sound.then_some(Self { digits: kept.into(), count })
    }

    /// Whether its end cannot be looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.digits.len() < self.count
    }

    /// Bytes it stands for.
    pub(super) fn len(&self) -> usize {
        self.count / 4 * 3 + self.count % 4 * 3 / 4
    }

    /// One byte.
    fn byte(&self, at: usize) -> Option<u8> {
        let first = at / 3 * 4 + at % 3;
        let high = u16::from(digit(*self.digits.get(first)?)?);
        let low = u16::from(digit(*self.digits.get(first + 1)?)?);
        let pair = high << 6 | low;
        Some((pair >> (4 - 2 * (at % 3))) as u8)
    }

    /// So many bytes from `at` on.
    pub(super) fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (i, place) in bytes.iter_mut().enumerate() {
            *place = self.byte(at + i)?;
        }
        Some(bytes)
    }
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Base64;

    #[test]
    fn every_byte_is_found() {
        for (text, bytes) in
            [("aGk=", &b"hi"[..]), ("aGk", b"hi"), ("aGkh", b"hi!"), ("/+8=", b"\xff\xef"), ("AA==", b"\0")]
        {
            let base64 = Base64::new(text).unwrap();
            assert_eq!(base64.len(), bytes.len());
            assert_eq!((0..).map_while(|at| base64.byte(at)).take(bytes.len()).collect::<Vec<_>>(), bytes);
            let escaped = Base64::of_chars(text.chars()).unwrap();
            assert_eq!((escaped.len(), escaped.bytes::<2>(0)), (base64.len(), base64.bytes::<2>(0)));
        }
        for text in ["", "=", "a", "aGk=a", "aG k", "aGk==", "+_aa", "_-8=", "aGkh====", "äää="] {
            assert!(Base64::new(text).is_none(), "{text}");
            assert!(Base64::of_chars(text.chars()).is_none(), "{text}");
        }
    }
}
