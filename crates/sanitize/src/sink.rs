//! Where clean text leaves: never more than so many bytes, and marked if it was cut.

/// What stands at the end of a text that was cut.
pub const TRUNCATION_MARK: &str = " [truncated]";

#[derive(Debug)]
pub(crate) struct Sink {
    out: String,
    /// Text that can only leave if the whole fits: its place may be needed for the mark.
    held: String,
    /// How many bytes were let out, without the mark.
    sent: usize,
    max: usize,
    /// How much may leave before it is known whether the mark is needed.
    safe: usize,
    cut: bool,
}

impl Sink {
    pub(crate) fn new(max: usize) -> Self {
        let safe = max.checked_sub(TRUNCATION_MARK.len()).unwrap_or(max);
        Self { out: String::new(), held: String::new(), sent: 0, max, safe, cut: false }
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let fits = if self.held.is_empty() { self.safe - self.sent } else { 0 };
        let (now, later) = text.split_at(text.floor_char_boundary(fits));
        self.out.push_str(now);
        self.sent += now.len();
        if later.is_empty() {
            return;
        }
        if self.sent + self.held.len() + later.len() > self.max {
            self.cut();
        } else {
            self.held.push_str(later);
        }
    }

    /// Cuts the text here: it was longer than what came in.
    pub(crate) fn cut(&mut self) {
        if self.cut {
            return;
        }
        self.cut = true;
        self.held.clear();
        if self.safe < self.max {
            self.out.push_str(TRUNCATION_MARK);
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Lets out what was held for the mark: the text ends here.
    pub(crate) fn finish(&mut self) {
        self.out.push_str(&std::mem::take(&mut self.held));
    }

    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }
}
