//! JSON numbers: the grammar of RFC 8259 and the value, in one pass over the digits.

/// A number as it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    /// Bytes it takes.
    pub(crate) length: usize,
    /// It has neither fraction nor exponent.
    pub(crate) is_integer: bool,
    pub(crate) negative: bool,
    /// The digits without the point, while they fit.
    mantissa: Option<u64>,
    /// The power of ten that the digits are multiplied by; saturated.
    exponent: i32,
}

/// Powers of ten that are exact in `f64`.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// More than a value is off, relative to it, when a mantissa was rounded and multiplied by one of [`SCALES`]: each
/// of the three adds a half of the last of 53 bits.
pub(crate) const ROUGH: f64 = 4.0 * f64::EPSILON;

/// Powers of ten from -22 to 22, the nearest `f64` of each.
const SCALES: [f64; 45] = [
    1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6,
    1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Number {
    /// Reads the number at the start of `bytes`; `None` when there is none.
    #[inline(always)]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let negative = bytes.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut digits = Digits::default();
        let mut at = digits.take_whole(bytes, start);
        let whole = at - start;
        if whole == 0 || (whole > 1 && bytes.get(start) == Some(&b'0')) {
            return None;
        }
        let mut is_integer = true;
        let mut exponent = 0_i32;
        if bytes.get(at) == Some(&b'.') {
            let end = digits.take_fraction(bytes, at + 1);
            let fraction = end - at - 1;
            if fraction == 0 {
                return None;
            }
            exponent = -i32::try_from(fraction).unwrap_or(i32::MAX);
            (at, is_integer) = (end, false);
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let (power, end) = power(bytes, at + 1)?;
            exponent = exponent.saturating_add(power);
            (at, is_integer) = (end, false);
        }
        Some(Self { length: at, is_integer, negative, mantissa: digits.fits.then_some(digits.value), exponent })
    }

    /// The value of an integer that fits 64 bits, with or without a sign.
    #[inline]
    pub(crate) fn integer(&self) -> Option<i128> {
        let mantissa = self.mantissa.filter(|_| self.is_integer)?;
        let value = if self.negative { -i128::from(mantissa) } else { i128::from(mantissa) };
        (value >= i128::from(i64::MIN)).then_some(value)
    }

    /// The value of an integer that `f64` holds exactly.
    #[inline(always)]
    pub(crate) fn small_integer(&self) -> Option<f64> {
        let mantissa = self.mantissa.filter(|mantissa| self.is_integer && *mantissa < 1 << 53)? as i64 as f64;
        Some(if self.negative { -mantissa } else { mantissa })
    }

    /// The nearest `f64`; infinite when it is too large, also for a zero with a power that is: RapidJSON refuses it.
    /// `text` is what was read.
    #[inline]
    pub(crate) fn float(&self, text: &str) -> f64 {
        match self.exact() {
            Some(value) => value,
            None if self.exponent > f64::MAX_10_EXP => f64::INFINITY,
            None => text.get(..self.length).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        }
    }

    /// The value, give or take [`ROUGH`] of it, at the price of one multiplication; `None` when it is out of the
    /// common range.
    #[inline(always)]
    pub(crate) fn roughly(&self) -> Option<f64> {
        let mantissa = i64::try_from(self.mantissa?).ok()? as f64;
        let scale = *SCALES.get(usize::try_from(self.exponent.saturating_add(22)).ok()?)?;
        // The sign is as good as random: nothing to guess at.
        Some(f64::from_bits((mantissa * scale).to_bits() | u64::from(self.negative) << 63))
    }

    /// The value when one multiplication or division of exact numbers gives it (Clinger 1990).
    #[inline]
    pub(crate) fn exact(&self) -> Option<f64> {
        let mantissa = self.mantissa.filter(|mantissa| *mantissa < 1 << 53)? as f64;
        let power = *POWERS.get(self.exponent.unsigned_abs() as usize)?;
        let value = if self.exponent < 0 { mantissa / power } else { mantissa * power };
        Some(if self.negative { -value } else { value })
    }
}

struct Digits {
    value: u64,
    fits: bool,
}

impl Default for Digits {
    fn default() -> Self {
        Self { value: 0, fits: true }
    }
}

impl Digits {
    /// Takes the digits before the point, from `at` on; where they end.
    #[inline(always)]
    fn take_whole(&mut self, bytes: &[u8], mut at: usize) -> usize {
        // Most numbers have one.
        if let Some([digit @ b'0'..=b'9', next, ..]) = bytes.get(at..)
            && !next.is_ascii_digit()
        {
            self.value = u64::from(digit - b'0');
            return at + 1;
        }
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let digits = Eight::new(*block);
            let count = digits.count();
            self.push(count, digits.value(count));
            at += count;
            if count < 8 {
                return at;
            }
        }
        self.take_slowly(bytes, at)
    }

    /// The same for those behind it.
    #[inline(always)]
    fn take_fraction(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            let ([first, second], _) = block.as_chunks() else { break };
            let (first, second) = (Eight::new(*first), Eight::new(*second));
            let count = first.count();
            // All bits when the first is full, or none.
            let is_full = 0_usize.wrapping_sub(count / 8);
            let more = second.count() & is_full;
            self.push(count + more, first.value(count) * power_of_ten(more) + second.value(more));
            at += count + more;
            if count + more < 16 {
                return at;
            }
        }
        self.take_slowly(bytes, at)
    }

    fn take_slowly(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            self.push(1, u64::from(digit));
            at += 1;
        }
        at
    }

    /// Puts the value of so many digits, at most sixteen, behind what is there.
    #[inline(always)]
    fn push(&mut self, count: usize, value: u64) {
        match self.value.checked_mul(power_of_ten(count)).and_then(|before| before.checked_add(value)) {
            Some(value) => self.value = value,
            None => self.fits = false,
        }
    }
}

/// Of up to sixteen.
#[inline(always)]
fn power_of_ten(power: usize) -> u64 {
    const POWERS: [u64; 17] = [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
        1_000_000_000,
        10_000_000_000,
        100_000_000_000,
        1_000_000_000_000,
        10_000_000_000_000,
        100_000_000_000_000,
        1_000_000_000_000_000,
        10_000_000_000_000_000,
    ];
    POWERS.get(power).copied().unwrap_or_default()
}

/// Eight bytes that may be digits, looked at together: a processor that goes from digit to digit guesses wrong, at
/// the price of ten of them, where they end.
#[derive(Clone, Copy)]
struct Eight(u64);

impl Eight {
    #[inline(always)]
    fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030)
    }

    /// How many digits it starts with.
    #[inline(always)]
    fn count(self) -> usize {
        // The highest bit of each byte that is no digit. Carries reach bytes behind one that is none, which do not
        // count.
        let others = (self.0.wrapping_add(0x7676_7676_7676_7676) | self.0) & 0x8080_8080_8080_8080;
        (others.trailing_zeros() / 8) as usize
    }

    /// The value of the first `count` of them: pairs, then fours, then all.
    #[inline(always)]
    fn value(self, count: usize) -> u64 {
        // They go to the end, behind zeros.
        let digits = self.0.unbounded_shl(64 - 8 * count as u32);
        let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
        let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
        let odd = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
        even.wrapping_add(odd) >> 32
    }
}

/// The signed power at `at`, saturated, and where it ends.
fn power(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let digits = bytes.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let (value, length) = digits.fold((0_i32, 0), |(value, length), digit| {
        (value.saturating_mul(10).saturating_add(i32::from(digit - b'0')), length + 1)
    });
    let value = if negative { -value } else { value };
    (length > 0).then_some((value, start + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// Reads `text` with something behind it, so that blocks of digits are looked at as well as single ones.
    fn agree(text: &str, behind: &str) -> Result<(), TestCaseError> {
        let longer = format!("{text}{behind}");
        let read = Number::read(longer.as_bytes()).filter(|number| number.length == text.len());
        let is_number = serde_json::from_str::<&RawValue>(text).is_ok() && text.trim() == text;
        prop_assert_eq!(read.is_some(), is_number, "{}", text);
        let Some(number) = read else { return Ok(()) };
        let exact: f64 = text.parse().unwrap();
        // Too large, with a sign or not, or zero with a power that is.
        let is_huge = number.float(&longer).is_infinite() && (exact == 0.0 || exact.is_infinite());
        prop_assert!(number.float(&longer).to_bits() == exact.to_bits() || is_huge, "{}", text);
        if let Some(rough) = number.roughly() {
            prop_assert!((rough - exact).abs() <= exact.abs() * ROUGH, "{} {}", rough, exact);
        }
        let integer = text.parse::<i128>().ok();
        let integer = integer.filter(|value| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value));
        prop_assert_eq!(number.integer(), integer, "{}", text);
        if let Some(small) = number.small_integer() {
            prop_assert_eq!(Some(small as i128), integer, "{}", text);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_grammar_is_that_of_serde_json(text in "[-0-9.eE+]{1,6}", behind in ",?[0-9]{0,20}") {
            let behind = if behind.starts_with(',') || behind.is_empty() { behind } else { format!(",{behind}") };
            agree(&text, &behind)?;
        }

        #[test]
        fn values_are_those_of_rust(
            text in "-?(0|[1-9][0-9]{0,25})([.][0-9]{1,25})?([eE][-+]?[0-9]{1,3})?",
            behind in "(,[0-9]{0,20})?",
        ) {
            agree(&text, &behind)?;
        }

        #[test]
        fn written_values_come_back(value in any::<f64>(), short in any::<f32>(), behind in "(, ?-[0-9]{0,20})?") {
            for text in [value.to_string(), short.to_string(), format!("{value:e}")] {
                if value.is_finite() && short.is_finite() {
                    agree(&text, &behind)?;
                }
            }
        }
    }

    #[test]
    fn edges_are_read_exactly() {
        for text in [
            "9223372036854775807",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "9007199254740993",
            "9007199254740992",
            "0.1e23",
            "1e22",
            "1e23",
            "-0",
            "-0.0",
            "0.000000000000000000000000001",
            "0e308",
            "0e309",
            "0.0e309",
            "123456789012345678901234567890e-30",
            "1e-400",
            "1e400",
            "2.5e-324",
            "0.12345678",
            "0.1234567890123456",
            "0.12345678901234567",
            "1234567812345678",
            "12345678.12345678",
        ] {
            ["", ",", ",1", ",12345678901234567890"].iter().for_each(|behind| agree(text, behind).unwrap());
        }
    }
}
