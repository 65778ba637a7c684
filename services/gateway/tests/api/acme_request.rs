//! What a client of ACME asks, and whether it signed it (RFC 8555, 6.2).

use std::io::{BufRead as _, BufReader, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rustls::pki_types::alg_id;
use serde_json::Value;

use crate::acme_authority::provider;

/// A request: its method, its path, and what was signed.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: Value,
    pub(crate) payload: Value,
    /// What was signed, and how.
    message: String,
    signature: Vec<u8>,
}

impl Asked {
    pub(crate) fn read(stream: &mut impl std::io::Read) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap_or_default());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            if name.eq_ignore_ascii_case("content-type") {
                assert_eq!(value.trim(), "application/jose+json");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (mut head, mut payload) = (Value::Null, Value::Null);
        let (mut message, mut signature) = (String::new(), Vec::new());
        if method == "POST" {
            let signed: Value = serde_json::from_slice(&body).unwrap();
            head = part(&signed["protected"]);
            payload = part(&signed["payload"]);
            assert_eq!(head["alg"], "ES256");
            let text = |part: &str| signed[part].as_str().unwrap().to_owned();
            message = format!("{}.{}", text("protected"), text("payload"));
            signature = BASE64.decode(text("signature")).unwrap();
        }
        Ok(Self { method, path, head, payload, message, signature })
    }

    /// Whether this key has signed it (ES256: RFC 7518, 3.4).
    pub(crate) fn is_signed_by(&self, key: &Value) -> bool {
        let number = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
        let point = [vec![4], number("x"), number("y")].concat();
        let algorithms = provider().signature_verification_algorithms.all;
        let mut algorithms = algorithms.iter().filter(|algorithm| {
            algorithm.public_key_alg_id() == alg_id::ECDSA_P256 && algorithm.signature_alg_id() == alg_id::ECDSA_SHA256
        });
        assert_eq!(self.signature.len(), 64);
        let numbers: Vec<u8> = self.signature.chunks(32).flat_map(integer).collect();
        let signature = [vec![0x30, u8::try_from(numbers.len()).unwrap()], numbers].concat();
        algorithms.next().unwrap().verify_signature(&point, self.message.as_bytes(), &signature).is_ok()
    }
}

/// A positive integer in DER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes[zeros.min(bytes.len() - 1)..].to_vec();
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
}

/// JSON in base64url; null when it is empty.
pub(crate) fn part(text: &Value) -> Value {
    serde_json::from_slice(&BASE64.decode(text.as_str().unwrap()).unwrap()).unwrap_or_default()
}
