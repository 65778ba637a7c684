//! Bodies that come packed: unpacked where the operator says how large they may be, and refused elsewhere.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use gateway::config::LOCAL;
use reqwest::Response;
use serde_json::json;

use crate::edge::tls;
use crate::helpers::{self, App, answer, chat, header};
use crate::one_by_one::read_until;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn taking(max_bytes: usize, more: &str) -> App {
    helpers::spawn(&format!("{LOCAL}\n[limits]\nmax_unpacked_bytes = {max_bytes}\n{more}")).await
}

async fn send(app: &App, key: &str, encoding: &str, body: Vec<u8>) -> Response {
    app.post("/v1/chat/completions", key).header("content-encoding", encoding).body(body).send().await.unwrap()
}

async fn refusal(app: &App, key: &str, encoding: &str, body: Vec<u8>) -> (u16, String) {
    let response = send(app, key, encoding, body).await;
    (response.status().as_u16(), header(&response, "x-error-code").to_owned())
}

#[tokio::test]
async fn a_packed_body_is_read_as_what_was_packed() {
    let app = taking(1 << 20, "").await;
    let key = app.key().await;
    let text = chat("echo-chat", &"in few bytes ".repeat(20_000)).to_string();
    let plain = send(&app, &key, "identity", text.clone().into()).await.text().await.unwrap();
    assert!(plain.contains("in few bytes in few bytes"), "{plain:.100}");
    let length = |text: &str| text.matches("in few bytes ").count();
    for (encoding, body) in [("gzip", gzip(text.as_bytes())), ("deflate", deflate(text.as_bytes()))] {
        for encoding in [encoding.to_owned(), encoding.to_uppercase()] {
            let response = send(&app, &key, &encoding, body.clone()).await;
            assert_eq!(response.status(), 200, "{encoding}");
            assert_eq!(length(&response.text().await.unwrap()), length(&plain));
        }
        // In chunks, without a length.
        let chunks: Vec<_> = body.chunks(100).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        let request = app.post("/v1/chat/completions", &key).header("content-encoding", encoding).body(stream);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}

/// As tritonclient does with `request_compression_algorithm`: the length of the head is that of the unpacked one.
#[tokio::test]
async fn packed_tensors_are_read() {
    let app = taking(1 << 20, "").await;
    let key = app.key().await;
    let head = r#"{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}"#;
    let mut body = head.as_bytes().to_vec();
    body.extend([5.1_f32, 3.5, 1.4, 0.2].iter().flat_map(|value| value.to_le_bytes()));
    for (encoding, body) in [("gzip", gzip(&body)), ("deflate", deflate(&body))] {
        let url = format!("https://{}/v2/models/echo-tensor/infer", app.address);
        let request = app.client.post(url).bearer_auth(&key).header("content-encoding", encoding);
        let request = request.header("content-type", "application/octet-stream");
        let response = request.header("inference-header-content-length", head.len()).body(body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{encoding}");
        assert!(response.headers().contains_key("inference-header-content-length"));
    }
}

#[tokio::test]
async fn nothing_is_unpacked_beyond_the_limit() {
    let app = taking(1 << 20, "max_buffered_bytes = 8388608").await;
    let key = app.key().await;
    let bomb = gzip(&vec![0; 10 << 20]);
    assert!(bomb.len() < 11 << 10);
    let response = send(&app, &key, "gzip", bomb.clone()).await;
    assert_eq!(header(&response, "x-error-code"), "body_too_large");
    let (status, body) = answer(response).await;
    assert_eq!((status, &body["error"]["message"]), (413, &"the body exceeds maximum 1048576 bytes".into()));
    assert_eq!(refusal(&app, &key, "deflate", deflate(&vec![0; 10 << 20])).await, (413, "body_too_large".to_owned()));
    // Many at once are refused as one is, unless there is no room to begin.
    let all = (0..64).map(|_| refusal(&app, &key, "gzip", bomb.clone()));
    for (status, code) in futures_util::future::join_all(all).await {
        assert!(matches!((status, code.as_str()), (413, "body_too_large") | (503, "busy")), "{status} {code}");
    }
    // Every place is given back.
    let text = chat("echo-chat", &"a".repeat(1_000_000)).to_string();
    assert_eq!(send(&app, &key, "gzip", gzip(text.as_bytes())).await.status(), 200);
    // What is too long before it is unpacked is not begun.
    let long = vec![0; (8 << 20) + 1];
    assert_eq!(refusal(&app, &key, "gzip", long).await, (413, "body_too_large".to_owned()));
}

#[tokio::test]
async fn what_is_cut_damaged_or_followed_by_more_is_refused() {
    let app = taking(1 << 20, "").await;
    let key = app.key().await;
    let text = chat("echo-chat", "hi").to_string();
    for (encoding, whole) in [("gzip", gzip(text.as_bytes())), ("deflate", deflate(text.as_bytes()))] {
        let mut damaged = whole.clone();
        damaged[20] ^= 0x40;
        let cut = whole[..whole.len() - 1].to_vec();
        let twice = [&whole[..], &whole[..]].concat();
        let followed = [&whole[..], b"\0"].concat();
        for body in [damaged, cut, twice, followed, text.clone().into(), Vec::new()] {
            assert_eq!(refusal(&app, &key, encoding, body).await, (400, "body_not_packed".to_owned()), "{encoding}");
        }
        // Packed twice, and said once, it is no JSON.
        let nested = if encoding == "gzip" { gzip(&whole) } else { deflate(&whole) };
        assert_eq!(refusal(&app, &key, encoding, nested).await.0, 400);
    }
    // The other form of deflate, which no standard names so.
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
    raw.write_all(text.as_bytes()).unwrap();
    let raw = raw.finish().unwrap();
    assert_eq!(refusal(&app, &key, "deflate", raw).await, (400, "body_not_packed".to_owned()));
}

#[tokio::test]
async fn other_codings_and_all_of_them_without_the_setting_are_refused() {
    let (on, off) = (taking(1 << 20, "").await, helpers::echo().await);
    let body = gzip(chat("echo-chat", "hi").to_string().as_bytes());
    let wrong = (415, "unsupported_media_type".to_owned());
    for (app, encodings) in [
        (&on, &["x-gzip", "br", "zstd", "compress", "gzip, gzip", "gzip, identity", "gzip,", "", "gzip;q=1"][..]),
        (&off, &["gzip", "deflate", "x-gzip", "br", "zstd", "gzip, gzip"][..]),
    ] {
        let key = app.key().await;
        for encoding in encodings {
            assert_eq!(refusal(app, &key, encoding, body.clone()).await, wrong, "{encoding}");
        }
        let twice = app.post("/v1/chat/completions", &key).header("content-encoding", "gzip");
        let twice = twice.header("content-encoding", "gzip").body(body.clone()).send().await.unwrap();
        assert_eq!(twice.status(), 415);
        // Operators have nothing large to say.
        let asked = app.admin_post("/admin/keys", &app.admin_key().await, &json!({}));
        assert_eq!(asked.header("content-encoding", "gzip").send().await.unwrap().status(), 415);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unpacked_bytes_take_room_and_packed_ones_must_come_in_time() {
    let more = "max_body_bytes = 307200\nmax_buffered_bytes = 479232\nbody_seconds = 3";
    let app = taking(300 << 10, more).await;
    let key = app.key().await;
    let body = |length: usize| gzip(chat("echo-chat", &"a".repeat(length)).to_string().as_bytes());
    let (few, many) = (body(2_000), body(250_000));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Encoding: gzip\r\n\
         Content-Type: application/json\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
    );
    // Who is told to go on has the room of a decoder, 80 KiB: of 468, two leave less than the many bytes need with theirs.
    let mut holding = Vec::new();
    for _ in 0..2 {
        let mut stream = tls(&app);
        stream.write_all(head.as_bytes()).unwrap();
        assert!(read_until(&mut stream, "100 Continue\r\n\r\n").starts_with("HTTP/1.1 100"));
        stream.write_all(&many[..10]).unwrap();
        holding.push(stream);
    }
    assert!(many.len() < 2_000, "it is the unpacked bytes that are too many");
    assert_eq!(refusal(&app, &key, "gzip", many.clone()).await, (503, "busy".to_owned()));
    assert_eq!(send(&app, &key, "gzip", few).await.status(), 200);
    for stream in holding {
        let end = crate::edge::send(stream, b"");
        assert!(end.contains("x-error-code: body_timeout"), "{end}");
    }
    // The room is given back.
    assert_eq!(send(&app, &key, "gzip", many).await.status(), 200);
}
