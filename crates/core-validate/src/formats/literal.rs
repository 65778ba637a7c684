//! The header of an npy file: a Python dictionary of three entries, in any order, with spaces anywhere.

use crate::formats::bad_header;
use crate::invalid::Invalid;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) descr: String,
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<u64>,
}

/// Reads the header, to its last byte.
pub(super) fn read(text: &str) -> Result<Header, Invalid> {
    let mut literal = Literal { rest: text };
    let (mut descr, mut is_fortran, mut shape) = (None, None, None);
    literal.expect('{')?;
    while !literal.take('}') {
        let key = literal.string()?;
        literal.expect(':')?;
        let is_new = match key {
            "descr" => descr.replace(literal.descr()?).is_none(),
            "fortran_order" => is_fortran.replace(literal.truth()?).is_none(),
            "shape" => shape.replace(literal.tuple()?).is_none(),
            _ => return Err(bad_header("expected descr, fortran_order and shape in the header, got another key")),
        };
        if !is_new {
            return Err(bad_header(format!("{key} appears twice in the header")));
        }
        if !literal.take(',') {
            literal.expect('}')?;
            break;
        }
    }
    if literal.rest.trim_start_matches(' ') != "\n" {
        return Err(bad_header("expected spaces and the end of the line behind the header"));
    }
    match (descr, is_fortran, shape) {
        (Some(descr), Some(is_fortran), Some(shape)) => Ok(Header { descr, is_fortran, shape }),
        _ => Err(bad_header("expected descr, fortran_order and shape in the header")),
    }
}

struct Literal<'t> {
    rest: &'t str,
}

impl<'t> Literal<'t> {
    /// Takes this character when it is next.
    fn take(&mut self, char: char) -> bool {
        self.rest = self.rest.trim_start_matches(' ');
        let rest = self.rest.strip_prefix(char);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, char: char) -> Result<(), Invalid> {
        if self.take(char) { Ok(()) } else { Err(bad_header(format!("expected {char} in the header"))) }
    }

    /// A string between single quotes, without escapes.
    fn string(&mut self) -> Result<&'t str, Invalid> {
        self.expect('\'')?;
        let (text, rest) = self.rest.split_once('\'').ok_or_else(|| bad_header("a string has no end"))?;
        self.rest = rest;
        if text.contains(['\\', '\n']) {
            return Err(bad_header("expected strings without escapes in the header"));
        }
        Ok(text)
    }

    /// One type. A list would describe records.
    fn descr(&mut self) -> Result<String, Invalid> {
        if self.take('[') {
            return Err(bad_header("expected one data type in the header, got a record"));
        }
        self.string().map(str::to_owned)
    }

    fn truth(&mut self) -> Result<bool, Invalid> {
        self.rest = self.rest.trim_start_matches(' ');
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(bad_header("expected True or False in the header"))
    }

    /// Whole numbers in parentheses; one alone has a comma behind it.
    fn tuple(&mut self) -> Result<Vec<u64>, Invalid> {
        /// Python's own arrays have no more dimensions.
        const MOST: usize = 64;
        let mut sizes = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            sizes.push(self.number()?);
            let has_comma = self.take(',');
            if !has_comma && (sizes.len() == 1 || !self.rest.trim_start_matches(' ').starts_with(')')) {
                return Err(bad_header("expected a tuple of sizes in the header"));
            }
            if sizes.len() > MOST {
                return Err(bad_header(format!("expected at most {MOST} sizes in the header, got more")));
            }
        }
        Ok(sizes)
    }

    fn number(&mut self) -> Result<u64, Invalid> {
        self.rest = self.rest.trim_start_matches(' ');
        let end = self.rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        let is_plain = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
        let number = digits.parse().ok().filter(|_| is_plain);
        number.ok_or_else(|| bad_header("expected whole numbers of 0 or more in the header"))
    }
}
