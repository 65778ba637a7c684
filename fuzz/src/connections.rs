//! What arrives on a connection: heads, who sent them, streams of a server.

use actix_http::ServiceConfig;
use actix_http::h1::{Codec, Message};
use backend::sse::{Decoder, Event};
use bytes::BytesMut;
use edge::{Framing, Next, Proxies};
use futures_util::FutureExt as _;
use tokio_util::codec::Decoder as _;

thread_local! {
    /// The HTTP library begins to count seconds with it.
    static CONFIG: ServiceConfig = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async { ServiceConfig::default() })
    };
}

/// The requests that are passed on of a connection, and how it ends.
fn requests(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Next>) {
    let (mut framing, mut held) = (Framing::default(), Vec::new());
    let (mut requests, mut request) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match framing.look(&held) {
                Next::Pass(count) => {
                    assert!((1..=held.len()).contains(&count), "{count} of {}", held.len());
                    framing.passed(&held, count);
                    request.extend(held.drain(..count));
                }
                Next::Wait => break,
                Next::Over => {
                    requests.push(std::mem::take(&mut request));
                    if framing.is_last() {
                        return (requests, None);
                    }
                    framing.next_request();
                }
                end => return (requests, Some(end)),
            }
        }
        assert!(!framing.is_in_head() || held.len() <= 16 << 10, "a head is waited for that is too large");
    }
    (requests, None)
}

/// Where the bytes are cut changes nothing, and the HTTP library reads what is passed on as it was read here.
pub fn head(cut: usize, bytes: &[u8]) {
    let (a, b) = bytes.split_at(cut.min(bytes.len()));
    let whole = requests(&[bytes]);
    assert_eq!(requests(&[a, b]), whole);
    for request in whole.0 {
        // As the gateway passes it on.
        let request = edge::without_expect(&request).unwrap_or(request);
        assert_eq!(requests(&[&request]), (vec![request.clone()], None));
        let mut codec = CONFIG.with(|config| Codec::new(config.clone()));
        let mut rest = BytesMut::from(request.as_slice());
        let first = codec.decode(&mut rest);
        assert!(
            matches!(first, Ok(Some(Message::Item(_)))),
            "another reading of {:?}",
            String::from_utf8_lossy(&request)
        );
        let mut has_ended = codec.message_type() == actix_http::h1::MessageType::None;
        while !rest.is_empty() {
            match codec.decode(&mut rest) {
                Ok(Some(Message::Chunk(None))) => {
                    has_ended = true;
                    break;
                }
                Ok(Some(Message::Chunk(Some(_)))) => {}
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&request)),
            }
        }
        // A body of a length ends with its last byte, and is told to have ended by the next look.
        has_ended |= matches!(codec.decode(&mut rest), Ok(Some(Message::Chunk(None))));
        assert!(has_ended && rest.is_empty(), "more than a request in {:?}", String::from_utf8_lossy(&request));
    }
}

/// Who a trusted proxy says is calling; what is left of that address does not count.
pub fn caller(line: &[u8]) {
    let proxies = Proxies::new(["10.0.0.0/8".parse().expect("a network")]);
    let proxy = "10.0.0.1".parse().expect("an address");
    let named = [line, b", 203.0.113.9, 10.1.1.1"].concat();
    assert_eq!(proxies.caller(proxy, [&named[..]].into_iter()), Ok("203.0.113.9".parse().expect("an address")));
    let read = proxies.caller(proxy, [line].into_iter());
    let lines: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
    assert_eq!(proxies.caller(proxy, lines.into_iter()), read, "a list may come in several lines");
    let stranger = "192.0.2.1".parse().expect("an address");
    assert_eq!(proxies.caller(stranger, [line].into_iter()), Ok(stranger));
}

/// The header of a proxy takes no byte of what follows it.
pub fn proxy_header(bytes: &[u8]) {
    let mut rest = bytes;
    let read = edge::read_proxy_header(&mut rest).now_or_never().expect("bytes are there at once");
    if read.is_ok() {
        let length = bytes.len() - rest.len();
        let mut same = &bytes[..length];
        let again = edge::read_proxy_header(&mut same).now_or_never().expect("bytes are there at once");
        assert_eq!(again.ok(), read.ok());
        assert!(length <= 16 + (1 << 10));
    }
}

/// Events come out as they went in, however a stream is cut, and are never longer than is allowed.
pub fn sse(cut: usize, bytes: &[u8]) {
    const MOST: usize = 64;
    let events = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(MOST);
        let is_read = pieces.iter().try_for_each(|piece| decoder.push(piece)).is_ok();
        (is_read, std::iter::from_fn(|| decoder.pop()).collect::<Vec<Event>>())
    };
    let (a, b) = bytes.split_at(cut.min(bytes.len()));
    let whole = events(&[bytes]);
    assert_eq!(events(&[a, b]), whole);
    for event in &whole.1 {
        if let Event::Data(data) = event {
            assert!(!data.trim_ascii().is_empty() && data.len() <= MOST);
        }
    }
}
