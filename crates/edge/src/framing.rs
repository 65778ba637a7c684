//! Where a request ends on its connection, and whether its bytes have one reading (RFC 9112): the head, then a body of a
//! length or in chunks. Stricter than HTTP libraries, and before them: what is passed on, they read as it was read here.

use http::Uri;
use http::uri::Authority;
use httparse::{EMPTY_HEADER, Header, Request, Status};

const EXPECT: &[u8] = b"expect";
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Path and query together.
const MAX_TARGET_BYTES: usize = 2 << 10;
/// Digits of a chunk's size, and the line's end.
const MAX_SIZE_LINE: usize = 16 + 2;

/// Takes the bytes of a connection apart into requests, one after the other.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    /// So many bytes of a head are known not to hold its end.
    scanned: usize,
    /// The request is the last of its connection.
    is_last: bool,
    /// Its caller waits to hear that the body is wanted.
    is_expecting: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body are to come.
    Length(u64),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk are to come.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    Over,
}

/// What may be done with the bytes that are there.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many may be passed on.
    Pass(usize),
    /// More are needed first.
    Wait,
    /// The request ends here; what follows is another one's.
    Over,
    /// The head is refused, and nothing behind it is a request.
    Refuse(Refusal),
    /// The body cannot be read on.
    Broken,
}

/// Why a head is refused. Who sent it is to blame, and it is refused again if it comes again.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no reading, or more than one: 400.
    #[error("not a head of one reading")]
    Malformed,
    /// It has too many bytes or fields, or its target too many: 431, or 414.
    #[error("the head is too large")]
    TooLarge,
    /// Its method is none that a standard knows: 405, or 501.
    #[error("an unknown method")]
    UnknownMethod,
    /// Its target names another host than its `Host`: 421.
    #[error("the target is of another host")]
    OtherHost,
}

impl Framing {
    /// Whether a head is read, or waited for.
    pub fn is_in_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether the request has ended.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether nothing that follows the request is one.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether the caller waits to hear that the body is wanted, and did not hear it yet.
    pub fn is_expecting(&self) -> bool {
        self.is_expecting
    }

    /// Notes that the caller hears it, or needs not.
    pub fn expects_no_more(&mut self) {
        self.is_expecting = false;
    }

    /// Goes on with the next request.
    pub fn next_request(&mut self) {
        *self = Self::default();
    }

    /// What may be done with `bytes`, which come next and were not passed on yet.
    pub fn look(&mut self, bytes: &[u8]) -> Next {
        match self.state {
            State::Over => Next::Over,
            _ if bytes.is_empty() => Next::Wait,
            State::Head => self.head(bytes),
            State::Length(left) | State::Chunk(left) => {
                Next::Pass(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)))
            }
            State::Size => size(bytes),
            State::ChunkEnd => match bytes {
                [b'\r', b'\n', ..] => Next::Pass(2),
                [b'\r'] => Next::Wait,
                _ => Next::Broken,
            },
        }
    }

    /// Notes that the first `count` of `bytes` were passed on, which [`Self::look`] allowed.
    pub fn passed(&mut self, bytes: &[u8], count: usize) {
        let passed = bytes.get(..count).unwrap_or(bytes);
        // Who sends a body does not wait to hear that it is wanted.
        self.is_expecting = false;
        self.state = match self.state {
            // A head is passed on as a whole, by who took it apart.
            State::Head => {
                let follows =
                    body(passed).unwrap_or(Follows { state: State::Over, is_last: true, is_expecting: false });
                (self.is_last, self.is_expecting) = (follows.is_last, follows.is_expecting);
                follows.state
            }
            State::Length(left) => match left.saturating_sub(count as u64) {
                0 => State::Over,
                left => State::Length(left),
            },
            State::Size => match chunk_size(passed) {
                Some(0) | None => State::Over,
                Some(size) => State::Chunk(size),
            },
            State::Chunk(left) => match left.saturating_sub(count as u64) {
                0 => State::ChunkEnd,
                left => State::Chunk(left),
            },
            State::ChunkEnd => State::Size,
            State::Over => State::Over,
        };
    }

    fn head(&mut self, bytes: &[u8]) -> Next {
        let from = self.scanned.saturating_sub(3);
        let end = bytes.get(from..).and_then(|rest| rest.windows(4).position(|four| four == b"\r\n\r\n"));
        match end.map(|at| from + at + 4) {
            Some(end) if end <= MAX_HEAD_BYTES => match bytes.get(..end).map(body) {
                Some(Ok(_)) => Next::Pass(end),
                Some(Err(code)) => Next::Refuse(code),
                None => Next::Wait,
            },
            // A line end of another form, or a start that is none, is not waited for.
            None if !is_sound_so_far(bytes.get(from..).unwrap_or_default(), from == 0) => {
                Next::Refuse(Refusal::Malformed)
            }
            None if bytes.len() < MAX_HEAD_BYTES => {
                self.scanned = bytes.len();
                Next::Wait
            }
            _ => Next::Refuse(Refusal::TooLarge),
        }
    }
}

/// Lines end with CR and LF, both or none, and the first one begins with a method.
fn is_sound_so_far(bytes: &[u8], is_start: bool) -> bool {
    let is_line_end = |pair: &[u8]| (pair.first() == Some(&b'\r')) == (pair.get(1) == Some(&b'\n'));
    let starts = bytes.first().is_none_or(u8::is_ascii_uppercase);
    bytes.windows(2).all(is_line_end) && (!is_start || starts)
}

/// What follows a head.
struct Follows {
    state: State,
    /// Nothing that is another request.
    is_last: bool,
    /// A body, once its caller hears that it is wanted (RFC 9110, section 10.1.1).
    is_expecting: bool,
}

/// The same head without `Expect`, for who answers that before the head is passed on; `None` if it has none.
pub fn without_expect(head: &[u8]) -> Option<Vec<u8>> {
    let is_expect =
        |line: &[u8]| line.split(|byte| *byte == b':').next().is_some_and(|name| name.eq_ignore_ascii_case(EXPECT));
    let lines = || head.split_inclusive(|byte| *byte == b'\n');
    lines().any(is_expect).then(|| lines().filter(|line| !is_expect(line)).flatten().copied().collect())
}

/// What follows a head, if that has one reading.
fn body(head: &[u8]) -> Result<Follows, Refusal> {
    if !is_sound_so_far(head, true) {
        return Err(Refusal::Malformed);
    }
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        _ => return Err(Refusal::Malformed),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed);
    };
    if method.len() > 16 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::UnknownMethod);
    }
    if target.len() > MAX_TARGET_BYTES {
        return Err(Refusal::TooLarge);
    }
    // As RFC 3986 writes an address; a library would refuse others in its own words.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
    if !target.bytes().all(is_plain) {
        return Err(Refusal::Malformed);
    }
    if target.parse::<Uri>().is_err() {
        return Err(Refusal::Malformed);
    }
    host(target, request.headers, version)?;
    let state = length(request.headers, version)?;
    // Libraries want to hear of a length here, if there is one.
    if version == 0 && method == "POST" && once(request.headers, "content-length")?.is_none() {
        return Err(Refusal::Malformed);
    }
    let is_expecting = version > 0 && state != State::Over && once(request.headers, "expect")?.is_some();
    Ok(Follows { state, is_last: is_last(request.headers, version), is_expecting })
}

/// Whether the connection ends with the request (RFC 9112, section 9.3).
fn is_last(headers: &[Header<'_>], version: u8) -> bool {
    let named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("connection"));
    let words = named.flat_map(|header| header.value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let has = |word: &str| words.clone().any(|other| other.eq_ignore_ascii_case(word.as_bytes()));
    has("close") || version == 0 && !has("keep-alive")
}

/// The one value of a header, if it has one.
fn once<'h>(headers: &'h [Header<'_>], name: &str) -> Result<Option<&'h [u8]>, Refusal> {
    let mut named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let value = named.next().map(|header| header.value.trim_ascii());
    if named.next().is_some() { Err(Refusal::Malformed) } else { Ok(value) }
}

/// The target is a path, or an address of the same host that the header names.
fn host(target: &str, headers: &[Header<'_>], version: u8) -> Result<(), Refusal> {
    let named = once(headers, "host")?;
    let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    let is_sound = |host: &[u8]| {
        let is_known = std::str::from_utf8(host).is_ok_and(|host| host.parse::<Authority>().is_ok());
        !host.is_empty() && host.iter().all(is_named) && is_port(host) && is_known
    };
    match named {
        Some(host) if !is_sound(host) => return Err(Refusal::Malformed),
        None if version > 0 => return Err(Refusal::Malformed),
        _ => {}
    }
    if target.starts_with('/') || target == "*" {
        return Ok(());
    }
    let Some(rest) = target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")) else {
        return Err(Refusal::Malformed);
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match named {
        Some(host) if host.eq_ignore_ascii_case(authority.as_bytes()) => Ok(()),
        _ => Err(Refusal::OtherHost),
    }
}

/// Whether what follows the last colon of a host is a port, outside of brackets.
fn is_port(host: &[u8]) -> bool {
    let after = host.iter().rposition(|byte| *byte == b']').map_or(host, |at| host.get(at + 1..).unwrap_or_default());
    let mut parts = after.splitn(2, |byte| *byte == b':').skip(1);
    parts.next().is_none_or(|port| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit))
}

/// A body has a length or comes in chunks, and says so once.
fn length(headers: &[Header<'_>], version: u8) -> Result<State, Refusal> {
    let (length, coding) = (once(headers, "content-length")?, once(headers, "transfer-encoding")?);
    if once(headers, "expect")?.is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue"))
        || headers.iter().any(|header| header.name.eq_ignore_ascii_case("trailer"))
    {
        return Err(Refusal::Malformed);
    }
    match (length, coding) {
        (None, None) => Ok(State::Over),
        (Some(digits), None) => {
            let is_number = (1..=20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_number);
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(0) => Ok(State::Over),
                Some(length) => Ok(State::Length(length)),
                None => Err(Refusal::Malformed),
            }
        }
        (None, Some(coding)) if version > 0 && coding.eq_ignore_ascii_case(b"chunked") => Ok(State::Size),
        _ => Err(Refusal::Malformed),
    }
}

/// The size of the next chunk, in hexadecimal digits and nothing else; the last one with the end of the body, so that no
/// trailers are passed on.
fn size(bytes: &[u8]) -> Next {
    let line = bytes.get(..MAX_SIZE_LINE.min(bytes.len())).unwrap_or(bytes);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = bytes.get(digits..).unwrap_or_default();
    match (digits, rest) {
        (0, _) => Next::Broken,
        (1..=16, [] | [b'\r']) => Next::Wait,
        (1..=16, [b'\r', b'\n', after @ ..]) => match chunk_size(bytes) {
            None => Next::Broken,
            Some(0) => match after {
                [b'\r', b'\n', ..] => Next::Pass(digits + 4),
                [] | [b'\r'] => Next::Wait,
                _ => Next::Broken,
            },
            Some(_) => Next::Pass(digits + 2),
        },
        _ => Next::Broken,
    }
}

/// A size that a body can have.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b'\r').next()?;
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (size <= u64::from(u32::MAX)).then_some(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a stream of bytes is read as: the requests that were passed on, and how it ended.
    fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<Next>) {
        let (mut framing, mut held) = (Framing::default(), Vec::new());
        let (mut requests, mut request) = (Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                match framing.look(&held) {
                    Next::Pass(count) => {
                        framing.passed(&held, count);
                        request.extend(held.drain(..count));
                    }
                    Next::Wait => break,
                    Next::Over => {
                        requests.push(String::from_utf8_lossy(&std::mem::take(&mut request)).into_owned());
                        framing.next_request();
                    }
                    end => return (requests, Some(end)),
                }
            }
        }
        (requests, None)
    }

    const GET: &str = "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &str = "POST /v1/x?y=1 HTTP/1.1\r\nhost: a.b:1\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: [::1]:443\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n";
    const ABSOLUTE: &str = "GET https://a/x HTTP/1.1\r\nHost: A\r\n\r\n";
    const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

    #[test]
    fn requests_end_where_they_end_however_they_come() {
        let all = [GET, POST, CHUNKED, ABSOLUTE, OLD, GET];
        let text = all.concat();
        for cut in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(read(&[a, b]), (all.map(str::to_owned).to_vec(), None), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes).0, all);
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        for (text, code) in [
            (head("Content-Length: 5\r\nContent-Length: 5\r\n"), Refusal::Malformed),
            (head("Content-Length: 5, 5\r\n"), Refusal::Malformed),
            (head("Content-Length: +5\r\n"), Refusal::Malformed),
            (head("Content-Length: 0x5\r\n"), Refusal::Malformed),
            (head("Content-Length: 18446744073709551616\r\n"), Refusal::Malformed),
            (head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Refusal::Malformed),
            (head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Refusal::Malformed),
            (head("Transfer-Encoding: gzip, chunked\r\n"), Refusal::Malformed),
            (head("Transfer-Encoding: xchunked\r\n"), Refusal::Malformed),
            (head("Transfer-Encoding: \x0bchunked\r\n"), Refusal::Malformed),
            (head("Trailer: X\r\n"), Refusal::Malformed),
            (head("Expect: 100-continue\r\nExpect: 100-continue\r\n"), Refusal::Malformed),
            (head("X : y\r\n"), Refusal::Malformed),
            (head("X: y\r\n z\r\n"), Refusal::Malformed),
            (head("Host: a\r\n"), Refusal::Malformed),
            (head("X: a\rb\r\n"), Refusal::Malformed),
            (head("X: a\nY: b\r\n"), Refusal::Malformed),
            (head(&"X: y\r\n".repeat(64)), Refusal::TooLarge),
            (head(&format!("X: {}\r\n", "y".repeat(17 << 10))), Refusal::TooLarge),
            (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(3 << 10)), Refusal::TooLarge),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET https://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::OtherHost),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET http://[/ HTTP/1.1\r\nHost: [\r\n\r\n".to_owned(), Refusal::Malformed),
            ("POST /v1/x HTTP/1.0\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("GET /\r\n\r\n".to_owned(), Refusal::Malformed),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Refusal::Malformed),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Refusal::Malformed),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Refusal::Malformed),
        ] {
            assert_eq!(read(&[text.as_bytes()]), (Vec::new(), Some(Next::Refuse(code))), "{text:?}");
        }
    }

    #[test]
    fn chunks_are_framed_in_one_way() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "zz\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\na\r\n",
            "1;x=y\r\na\r\n",
            "1\na\n",
            "\r\n",
            "1\r\naX\r\n",
            "1\r\na\n0\r\n\r\n",
            "0\r\nX: y\r\n\r\n",
            "0\r\n\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "00000000000000001\r\n",
        ] {
            assert_eq!(read(&[head.as_bytes(), body.as_bytes()]).1, Some(Next::Broken), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn every_reading_is_the_same_for_every_cut(
            text in prop::collection::vec(prop::sample::select(vec![
                GET, POST, CHUNKED, OLD, "GET ", "/ ", "HTTP/1.1\r\n", "Host: a\r\n", "\r\n", "\r", "\n", "0", "5", "a",
                "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", " ", ":",
            ]), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let text = text.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(read(&pieces), read(&[text.as_bytes()]));
        }
    }
}
