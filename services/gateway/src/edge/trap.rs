//! The trap: a listener without TLS, for those who call it all the same. It serves nothing and leads nowhere, so that
//! the mistake is seen; and a key that was sent to it is revoked, for anybody on the way may have read it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use keys::{Issuer, Peppers, PresentedKey, Principal, Revoke};
use pipeline::{About, Code, Pipeline, Step};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::cli::system_act;
use crate::request_id;

/// Most bytes of a head that are read.
const MAX_BYTES: usize = 8 << 10;
/// How long a caller may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Callers at once; others wait to be accepted.
const AT_ONCE: usize = 64;
/// After it could not accept, when there are no descriptors left.
const REST: Duration = Duration::from_millis(100);

/// What the trap works with.
pub(crate) struct Trap {
    pub(crate) issuer: Issuer,
    pub(crate) peppers: Peppers,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Trap {
    /// Answers for ever.
    pub(crate) async fn run(self, listener: TcpListener) {
        let (trap, places) = (Arc::new(self), Arc::new(Semaphore::new(AT_ONCE)));
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let trap = trap.clone();
            tokio::spawn(async move {
                let _place = place;
                let _ = trap.answer(stream).await;
            });
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let peer = stream.peer_addr()?.ip().to_canonical();
        let head = head(&mut stream).await;
        let about = About::new(request_id::new(), peer, None);
        let id = about.request_id().to_owned();
        self.revoke(&head, &id).await;
        let rejection = self.pipeline.refuse(about, Step::Accept, Code::HttpsOnly);
        let (code, message) = (rejection.code().as_str(), rejection.code().message());
        let message = format!("{message} (request {id})");
        let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": code});
        let body = json!({"error": error}).to_string();
        let text = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             x-error-code: {code}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let leaving = async {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            // What still comes is read, so that the answer is not lost to a reset.
            let mut rest = [0; 512];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        tokio::time::timeout(PATIENCE, leaving).await?
    }

    async fn revoke(&self, head: &str, request_id: &str) {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = head.split(|letter| !is_part(letter));
        for key in words.filter_map(|word| keys::parse(word, &self.peppers).ok()) {
            self.revoke_one(&key, request_id).await;
        }
    }

    async fn revoke_one(&self, key: &PresentedKey, request_id: &str) {
        let revoked = self.issuer.revoke(&Principal::system(), Revoke::Key(*key.id()), request_id::unix_millis()).await;
        let mut act = system_act("keys.revoke", Some(key.id().to_string()));
        act.ok = revoked.is_ok();
        act.detail = Some(format!("it was sent without TLS, in request {request_id}"));
        match revoked {
            Ok(_) => tracing::warn!(key = %key.id(), request_id, "a key was sent without TLS: it is revoked"),
            Err(error) => {
                tracing::error!(key = %key.id(), request_id, %error, "a key was sent without TLS, and is not revoked")
            }
        }
        let _ = self.pipeline.record(act).await;
    }
}

/// The head of a request, as far as it fits and comes in time: a key may be in half of one.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::with_capacity(1 << 10);
    let mut limited = stream.take(MAX_BYTES as u64);
    let reading = async {
        let is_whole = |bytes: &[u8]| bytes.windows(4).any(|four| four == b"\r\n\r\n");
        while !is_whole(&bytes) && limited.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    let _ = tokio::time::timeout(PATIENCE, reading).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
