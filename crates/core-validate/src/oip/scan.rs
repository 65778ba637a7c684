//! Tensor data in JSON, checked while it is read: grammar, type, range, finiteness, nesting and count in one pass
//! that builds nothing.

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Cursor, Fault, Number, ROUGH, Span};
use crate::limits::Limits;
use crate::oip::head::TensorHead;
use crate::refuse::wrong_type;
use crate::tensor::{Dtype, non_finite, out_of_type};

/// What was learnt on the way.
#[derive(Debug, Clone, Default)]
pub(super) struct Scanned {
    /// Smallest and largest value.
    pub(super) bounds: Option<(f64, f64)>,
    /// The elements of `BYTES`.
    pub(super) texts: Vec<Span>,
}

/// Reads the data that the cursor stands before: flat, or nested exactly as the shape says.
pub(super) fn scan(
    limits: &Limits,
    head: &TensorHead,
    cursor: &mut Cursor<'_>,
    at: &dyn Fn() -> Pointer,
) -> Result<Scanned, Invalid> {
    if cursor.peek() != Some(b'[') {
        return Err(wrong_type(at(), "a list"));
    }
    let start = cursor.position();
    cursor.take(b'[');
    let is_nested = cursor.peek() == Some(b'[');
    cursor.set_position(start);
    let flat = [head.count];
    // A tensor of no dimension has one value, and no list to nest.
    let shape: &[u64] = if is_nested && !head.shape.is_empty() { &head.shape } else { &flat };
    let bounds = (f64::INFINITY, f64::NEG_INFINITY);
    let mut scan =
        Scan { limits, dtype: head.dtype, cursor, at, path: Vec::new(), seen: 0, before: 0, bounds, texts: Vec::new() };
    scan.list(shape)?;
    // What is not less stays not less when it is rounded.
    let (min, max) = (head.dtype.narrow(scan.bounds.0), head.dtype.narrow(scan.bounds.1));
    Ok(Scanned { bounds: (min <= max).then_some((min, max)), texts: scan.texts })
}

/// Finds the end of data whose shape is not known yet. What is between is checked when it is.
pub(super) fn skim(limits: &Limits, cursor: &mut Cursor<'_>, at: &dyn Fn() -> Pointer) -> Result<(), Invalid> {
    let mut depth = 0;
    loop {
        match cursor.peek() {
            Some(b'[') if depth < limits.rank => depth += 1,
            Some(b'[') => {
                let message = format!("expected at most {} dimensions, got more", limits.rank);
                return Err(Invalid::new(InvalidCode::WrongRank, at(), message));
            }
            Some(b']') if depth == 1 => {
                cursor.take(b']');
                return Ok(());
            }
            Some(b']') if depth > 1 => depth -= 1,
            Some(b'"') if depth > 0 => {
                cursor.string(limits.string_bytes).map_err(|fault| fault.at(at()))?;
                continue;
            }
            Some(byte) if depth > 0 && byte != b'{' => {
                cursor.set_position(cursor.position() + numbers_run(cursor.rest()));
                continue;
            }
            Some(_) => return Err(wrong_type(at(), "a list")),
            None => return Err(cursor.broken().at(Pointer::root())),
        }
        cursor.set_position(cursor.position() + 1);
    }
}

/// Bytes up to the next that matters to [`skim`], many at a time.
fn numbers_run(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let matters = |byte: &u8| (*byte == b'[') | (*byte == b']') | (*byte == b'"') | (*byte == b'{');
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | matters(byte)));
    let done = plain.count() * BLOCK;
    let rest = bytes.get(done..).unwrap_or_default();
    done + rest.iter().position(matters).unwrap_or(rest.len())
}

struct Scan<'s, 't> {
    limits: &'s Limits,
    dtype: Dtype,
    cursor: &'s mut Cursor<'t>,
    at: &'s dyn Fn() -> Pointer,
    /// Indexes of the lists that the cursor stands in, but for the innermost.
    path: Vec<usize>,
    /// Values so far.
    seen: u64,
    /// Of them, those before the innermost list.
    before: u64,
    bounds: (f64, f64),
    texts: Vec<Span>,
}

impl Scan<'_, '_> {
    /// Reads a list of this shape. Recursion ends with the rank.
    fn list(&mut self, shape: &[u64]) -> Result<(), Invalid> {
        let Some((&size, inner)) = shape.split_first() else {
            return Err(self.misfit("data is nested deeper than the shape".to_owned()));
        };
        if inner.is_empty() {
            return match self.dtype {
                Dtype::Bool => self.row(size, Self::flag, |_, _| 0),
                Dtype::Bytes => self.row(size, Self::text, |_, _| 0),
                dtype if dtype.overflow().is_some() => self.row(size, Self::float, Self::floats),
                _ => self.row(size, Self::integer, Self::integers),
            };
        }
        self.open()?;
        for index in 0..size {
            self.comma(index, size)?;
            self.path.push(usize::try_from(index).unwrap_or(usize::MAX));
            self.list(inner)?;
            self.path.pop();
        }
        self.close(size)
    }

    /// Reads a list of values: one, then as many at once as `run` can.
    #[inline]
    fn row(
        &mut self,
        size: u64,
        value: impl Fn(&mut Self) -> Result<(), Invalid>,
        run: impl Fn(&mut Self, u64) -> u64,
    ) -> Result<(), Invalid> {
        self.open()?;
        self.before = self.seen;
        let mut index = 0;
        while index < size {
            self.comma(index, size)?;
            if self.cursor.peek() == Some(b'[') {
                return Err(self.misfit("data is nested deeper than the shape".to_owned()));
            }
            value(self)?;
            let more = run(self, size - index - 1);
            self.seen += 1 + more;
            index += 1 + more;
        }
        self.close(size)
    }

    /// Takes numbers, each behind a comma, as long as they are sound and in the commonest form; how many, at most
    /// `most`. Whatever else comes is left, and said, by those who read one value.
    fn floats(&mut self, most: u64) -> u64 {
        let overflow = self.dtype.overflow().unwrap_or_default();
        let exact = |number: &Number| number.exact().filter(|value| value.abs() < overflow);
        self.run(most, ROUGH, Number::roughly, exact)
    }

    /// The same for integers.
    fn integers(&mut self, most: u64) -> u64 {
        let (min, max) = self.dtype.integers().unwrap_or_default();
        let integer = |number: &Number| number.integer().filter(|value| (min..=max).contains(value));
        let exact = |number: &Number| integer(number).map(|value| value as f64);
        self.run(most, 0.0, |number| number.small_integer(), exact)
    }

    /// Takes numbers that lie between those that were there, `off` left to their sides: they are as sound as those.
    /// Others are asked for their exact value.
    #[inline(always)]
    fn run(
        &mut self,
        most: u64,
        off: f64,
        rough: impl Fn(&Number) -> Option<f64>,
        exact: impl Fn(&Number) -> Option<f64>,
    ) -> u64 {
        let rest = self.cursor.rest();
        let between = |(min, max): (f64, f64)| (min + min.abs() * off)..=(max - max.abs() * off);
        let (mut at, mut count, mut inside) = (0, 0, between(self.bounds));
        while count < most && rest.get(at) == Some(&b',') {
            // Python writes a space behind a comma.
            let start = at + 1 + usize::from(rest.get(at + 1) == Some(&b' '));
            let Some(number) = rest.get(start..).and_then(Number::read) else { break };
            if !rough(&number).is_some_and(|value| inside.contains(&value)) {
                let Some(value) = exact(&number) else { break };
                self.note(value);
                inside = between(self.bounds);
            }
            at = start + number.length;
            count += 1;
        }
        self.cursor.set_position(self.cursor.position() + at);
        count
    }

    fn open(&mut self) -> Result<(), Invalid> {
        match self.cursor.peek() {
            Some(b'[') => {
                self.cursor.take(b'[');
                Ok(())
            }
            None => Err(self.broken()),
            Some(_) => Err(self.misfit("data is nested less deep than the shape".to_owned())),
        }
    }

    #[inline]
    fn comma(&mut self, index: u64, size: u64) -> Result<(), Invalid> {
        if index == 0 {
            return match self.cursor.peek() {
                Some(b']') => Err(self.too_few(size, 0)),
                _ => Ok(()),
            };
        }
        if self.cursor.take(b',') {
            return Ok(());
        }
        match self.cursor.peek() {
            Some(b']') => Err(self.too_few(size, index)),
            _ => Err(self.broken()),
        }
    }

    fn close(&mut self, size: u64) -> Result<(), Invalid> {
        if self.cursor.take(b']') {
            return Ok(());
        }
        let is_more = self.cursor.take(b',') || (size == 0 && self.cursor.peek().is_some());
        if is_more { Err(self.misfit(format!("expected {size} values, got more"))) } else { Err(self.broken()) }
    }

    #[cold]
    fn too_few(&self, size: u64, got: u64) -> Invalid {
        self.misfit(format!("expected {size} values, got {got}"))
    }

    #[cold]
    fn misfit(&self, message: String) -> Invalid {
        Invalid::new(InvalidCode::WrongShape, self.place(), message)
    }

    #[cold]
    fn broken(&self) -> Invalid {
        self.cursor.broken().at(Pointer::root())
    }

    /// The innermost list.
    fn place(&self) -> Pointer {
        self.path.iter().fold((self.at)(), |at, index| at.index(*index))
    }

    /// The value that is read now.
    fn value_place(&self) -> Pointer {
        self.place().index(usize::try_from(self.seen - self.before).unwrap_or(usize::MAX))
    }

    #[cold]
    fn wrong(&self, wanted: &str) -> Invalid {
        wrong_type(self.value_place(), wanted)
    }

    #[inline]
    fn float(&mut self) -> Result<(), Invalid> {
        let start = self.cursor.position();
        let Ok(number) = self.cursor.number() else { return Err(self.no_number("a number")) };
        let value = number.float(self.cursor.since(start));
        if value.abs() >= self.dtype.overflow().unwrap_or(f64::INFINITY) {
            return Err(non_finite(self.seen, (self.at)()));
        }
        self.note(value);
        Ok(())
    }

    #[inline]
    fn integer(&mut self) -> Result<(), Invalid> {
        let Ok(number) = self.cursor.number() else { return Err(self.no_number("an integer")) };
        if !number.is_integer {
            return Err(self.wrong("an integer"));
        }
        let inside =
            number.integer().zip(self.dtype.integers()).filter(|(value, (min, max))| (min..=max).contains(&value));
        let Some((value, _)) = inside else { return Err(out_of_type(self.seen, self.dtype, (self.at)())) };
        self.note(value as f64);
        Ok(())
    }

    /// Clients write a truth as 0 or 1, too.
    fn flag(&mut self) -> Result<(), Invalid> {
        for word in ["true", "false", "0", "1"] {
            let ends = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
            let rest = self.cursor.rest();
            if rest.starts_with(word.as_bytes()) && ends(rest.get(word.len())) {
                return self.cursor.word(word).map_err(|fault| fault.at(Pointer::root()));
            }
        }
        Err(self.wrong("true or false"))
    }

    fn text(&mut self) -> Result<(), Invalid> {
        if self.cursor.peek() != Some(b'"') {
            return Err(self.wrong("a string"));
        }
        let span = self.cursor.string(self.limits.string_bytes).map_err(|fault| self.at_value(fault))?;
        self.texts.push(span);
        Ok(())
    }

    fn at_value(&self, fault: Fault) -> Invalid {
        match fault.code {
            InvalidCode::InvalidJson => fault.at(Pointer::root()),
            _ => fault.at(self.value_place()),
        }
    }

    /// Clients that write tensors with a lax JSON library send `NaN` and `Infinity`, which are no JSON; they are
    /// told so in the words of the tensor check.
    #[cold]
    fn no_number(&self, wanted: &str) -> Invalid {
        let rest = self.cursor.rest();
        let word = rest.strip_prefix(b"-").unwrap_or(rest);
        if ["NaN", "Infinity", "nan", "inf"].iter().any(|name| word.starts_with(name.as_bytes())) {
            return non_finite(self.seen, (self.at)());
        }
        match ["\"", "{", "true", "false", "null"].iter().any(|start| rest.starts_with(start.as_bytes())) {
            true => self.wrong(wanted),
            false => self.broken(),
        }
    }

    #[inline]
    fn note(&mut self, value: f64) {
        let (min, max) = self.bounds;
        self.bounds = (if value < min { value } else { min }, if value > max { value } else { max });
    }
}

/// The numbers of data that was scanned, one after the other, as values of their type.
pub(super) fn numbers(dtype: Dtype, data: &str) -> impl Iterator<Item = f64> {
    let is_between = |char: char| matches!(char, '[' | ']' | ',' | ' ' | '\t' | '\n' | '\r');
    data.split(is_between).filter(|word| !word.is_empty()).map(move |word| match word {
        "true" => 1.0,
        "false" => 0.0,
        number => {
            let read = crate::json::Number::read(number.as_bytes()).map_or(f64::NAN, |read| read.float(number));
            dtype.narrow(read)
        }
    })
}
