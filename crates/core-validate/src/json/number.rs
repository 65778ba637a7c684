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

impl Number {
    /// Reads the number at the start of `bytes`; `None` when there is none.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let negative = bytes.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut digits = Digits::default();
        let mut at = digits.take(bytes, start);
        let whole = at - start;
        if whole == 0 || (whole > 1 && bytes.get(start) == Some(&b'0')) {
            return None;
        }
        let mut is_integer = true;
        let mut exponent = 0_i32;
        if bytes.get(at) == Some(&b'.') {
            let end = digits.take(bytes, at + 1);
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

    /// The nearest `f64`; infinite when it is too large. `text` is what was read.
    #[inline]
    pub(crate) fn float(&self, text: &str) -> f64 {
        match self.exact() {
            Some(value) => value,
            None => text.get(..self.length).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        }
    }

    /// The value when one multiplication or division of exact numbers gives it (Clinger 1990).
    #[inline]
    fn exact(&self) -> Option<f64> {
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
    /// Takes the digits from `at` on; where they end.
    #[inline]
    fn take(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            if self.value < u64::MAX / 10 {
                self.value = self.value * 10 + u64::from(digit);
            } else {
                self.take_large(digit);
            }
            at += 1;
        }
        at
    }

    #[cold]
    fn take_large(&mut self, digit: u8) {
        match self.value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit))) {
            Some(value) if self.fits => self.value = value,
            _ => self.fits = false,
        }
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
