//! Where the parts of a text stood in the text that it was made from.

use std::ops::Range;

/// What is known of a text that was written piece by piece. Bytes of which nothing was noted are not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offsets {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    /// Where it starts in the text that was made.
    here: usize,
    /// What it was made from.
    source: Range<usize>,
    /// Nothing is known of its parts: they stand for all of the source.
    is_whole: bool,
}

impl Offsets {
    /// What is written from `here` on was made from all of `source`.
    pub(crate) fn whole(&mut self, here: usize, source: Range<usize>) {
        self.push(Piece { here, source, is_whole: true });
    }

    /// What is written from `here` on is, byte for byte as far as it goes, what stands in `source`.
    pub(crate) fn even(&mut self, here: usize, source: Range<usize>) {
        if let Some(last) = self.pieces.last_mut()
            && !last.is_whole
            && last.source.end == source.start
            && here - last.here == source.start - last.source.start
        {
            last.source.end = source.end;
            return;
        }
        self.push(Piece { here, source, is_whole: false });
    }

    /// What was written from `here` on is written anew.
    pub(crate) fn rewind(&mut self, here: usize) {
        while self.pieces.pop_if(|last| last.here >= here).is_some() {}
        if let Some(last) = self.pieces.last_mut()
            && !last.is_whole
        {
            last.source.end = last.source.end.min(last.source.start + (here - last.here));
        }
    }

    fn push(&mut self, piece: Piece) {
        while self.pieces.pop_if(|last| last.here >= piece.here).is_some() {}
        self.pieces.push(piece);
    }

    /// The least part of the source, on character boundaries, that `range` was made from.
    pub(crate) fn source(&self, range: Range<usize>, source: &str) -> Range<usize> {
        let start = self.byte(range.start).start;
        let end = if range.is_empty() { start } else { self.byte(range.end - 1).end };
        let start = source.floor_char_boundary(start.min(source.len()));
        start..source.ceil_char_boundary(end.min(source.len())).max(start)
    }

    /// Whether a part of `range` was made as a whole.
    pub(crate) fn has_whole(&self, range: &Range<usize>) -> bool {
        let behind = self.pieces.partition_point(|piece| piece.here < range.end);
        let before = self.pieces.get(..behind).unwrap_or_default().iter().rev();
        let first = before.clone().take_while(|piece| piece.here > range.start).count();
        before.take(first + 1).any(|piece| piece.is_whole)
    }

    fn byte(&self, at: usize) -> Range<usize> {
        let behind = self.pieces.partition_point(|piece| piece.here <= at);
        let Some(piece) = behind.checked_sub(1).and_then(|last| self.pieces.get(last)) else { return at..at + 1 };
        if piece.is_whole {
            return piece.source.clone();
        }
        let start = (piece.source.start + (at - piece.here)).min(piece.source.end.saturating_sub(1));
        start..start + 1
    }
}
