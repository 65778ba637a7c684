//! Base62 (`0-9A-Za-z`): random characters, and fixed-width numbers, most significant first.

use zeroize::Zeroize;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digit of a value below 62; anything else wraps.
fn digit(value: u64) -> u8 {
    ALPHABET.get((value % 62) as usize).copied().unwrap_or(b'0')
}

pub(crate) fn is_base62(bytes: &[u8]) -> bool {
    // To the end, whatever comes: several characters at once.
    bytes.iter().fold(true, |is_so_far, byte| is_so_far & byte.is_ascii_alphanumeric())
}

/// `value` in exactly `N` digits; what does not fit is dropped from the top.
pub(crate) fn number<const N: usize>(mut value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        *place = digit(value);
        value /= 62;
    }
    digits
}

/// Evenly distributed characters from random bytes: 5.95 bits each.
pub(crate) fn draw(out: &mut [u8], source: &mut blake3::OutputReader) {
    let mut pool = [0_u8; 64];
    let mut places = out.iter_mut();
    let mut place = places.next();
    while place.is_some() {
        source.fill(&mut pool);
        // 248 = 4 x 62: what is above would make the first characters more likely.
        for byte in pool.iter().filter(|byte| **byte < 248) {
            let Some(to) = place else { break };
            *to = digit(u64::from(*byte));
            place = places.next();
        }
    }
    pool.zeroize();
}
