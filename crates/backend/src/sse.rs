//! Server-sent events, read piece by piece (WHATWG HTML, section 9.2.6), as far as model servers
//! use them: `data` lines, comments, events named `error` and the mark `[DONE]`.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::error::BackendError;

/// One thing that a stream said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The data of an event.
    Data(Bytes),
    /// The mark that ends the answer.
    Done,
    /// An event that is named `error`.
    Failed,
}

/// Cuts a stream of bytes into events.
#[derive(Debug)]
pub struct Decoder {
    line: BytesMut,
    data: BytesMut,
    has_data: bool,
    is_error: bool,
    after_cr: bool,
    max_bytes: usize,
    ready: VecDeque<Event>,
}

impl Decoder {
    /// An event may have at most so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            line: BytesMut::new(),
            data: BytesMut::new(),
            has_data: false,
            is_error: false,
            after_cr: false,
            max_bytes,
            ready: VecDeque::new(),
        }
    }

    /// The next event that is whole.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Takes more bytes. Lines end with LF, CR or CRLF. Costs their number, however they are cut.
    ///
    /// # Errors
    /// [`BackendError::TooLarge`] for an event of more bytes than are allowed; the stream cannot be read on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (piece, None),
            };
            let is_second_half = std::mem::take(&mut self.after_cr) && end == Some(b'\n') && text.is_empty();
            if is_second_half {
                continue;
            }
            if self.line.len() + self.data.len() + text.len() > self.max_bytes {
                return Err(BackendError::TooLarge);
            }
            self.line.extend_from_slice(text);
            if let Some(end) = end {
                self.after_cr = end == b'\r';
                self.end_line();
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = self.line.split();
        if line.is_empty() {
            let is_error = std::mem::take(&mut self.is_error);
            if std::mem::take(&mut self.has_data) {
                let data = self.data.split().freeze();
                match data.trim_ascii() {
                    _ if is_error => self.ready.push_back(Event::Failed),
                    b"[DONE]" => self.ready.push_back(Event::Done),
                    // An event that says nothing, to keep the connection open.
                    b"" => {}
                    _ => self.ready.push_back(Event::Data(data)),
                }
            }
            return;
        }
        if let Some(name) = line.strip_prefix(b"event:") {
            self.is_error = name.trim_ascii() == b"error";
        }
        let Some(value) = line.strip_prefix(b"data:") else { return };
        if self.has_data {
            self.data.extend_from_slice(b"\n");
        }
        self.has_data = true;
        self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(1_000);
        pieces.iter().for_each(|piece| decoder.push(piece).unwrap());
        std::iter::from_fn(|| decoder.pop()).collect()
    }

    fn data(text: &'static str) -> Event {
        Event::Data(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_cut_gives_the_same_events() {
        let text = b": hello\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\nid: 4\n\ndata: [DONE]\r\r";
        let expected = vec![data("{\"a\":1}"), data("two\nlines"), Event::Done];
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(events(&[a, b]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(events(&bytes), expected);
    }

    #[test]
    fn an_error_event_is_no_data() {
        assert_eq!(events(&[b"event: error\ndata: {}\n\ndata: 1\n\n"]), [Event::Failed, data("1")]);
    }

    #[test]
    fn what_says_nothing_is_no_event_and_an_error_without_data_ends_with_its_line() {
        assert_eq!(events(&[b"data:\n\ndata: \n\ndata: 1\n\n"]), [data("1")]);
        assert_eq!(events(&[b"event: error\n\ndata: 1\n\n"]), [data("1")]);
        assert_eq!(events(&[b"data:  [DONE]\n\n"]), [Event::Done]);
    }

    #[test]
    fn an_event_that_does_not_end_is_bounded() {
        let mut decoder = Decoder::new(1_000);
        assert!(decoder.push(&[b'x'; 999]).is_ok());
        assert_eq!(decoder.push(&[b'x'; 2]), Err(BackendError::TooLarge));
        let mut decoder = Decoder::new(1_000);
        let endless = (0..1_000).try_for_each(|_| decoder.push(b"data: x\n"));
        assert_eq!(endless, Err(BackendError::TooLarge));
    }
}
