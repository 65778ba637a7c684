//! What is asked: chats of ordinary words, the same in every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::json;

/// The name of the model, as the gateway knows it.
pub(crate) const MODEL: &str = "bench";

/// The hundred most frequent words of English, and some nouns. A few begin a phrase that screening
/// knows, as they do in any honest text.
const WORDS: &str = "the be to of and a in that have it for not on with he as you do at this but his by from they we say \
    her she or an will my one all would there their what so up out if about who get which go me when \
    make can like time no just him know take people into year your good some could them see other than \
    then now look only come its over think also back after use two how our work first well way even new \
    want because any these give day most us is are was were system water school night important message \
    market evening river winter garden family letter number house paper";

/// What stands in a text in the place of the number of its request.
const NUMBER: &str = "0000000000000000";

/// What one request after another sends.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    body: Bytes,
    /// Where each request has a number of its own, and how many there were.
    number: Option<(usize, Arc<AtomicU64>)>,
}

impl Chat {
    /// The next body.
    pub(crate) fn next(&self) -> Bytes {
        let Some((at, count)) = &self.number else { return self.body.clone() };
        let mut body = self.body.to_vec();
        let number = format!("{:016}", count.fetch_add(1, Ordering::Relaxed));
        if let Some(place) = body.get_mut(*at..at + number.len()) {
            place.copy_from_slice(number.as_bytes());
        }
        body.into()
    }
}

/// A chat of about 200 bytes.
pub(crate) fn small() -> Chat {
    Chat { body: chat(&prose(120), false), number: None }
}

/// A chat with one message of about 64 KiB, which the gateway has seen before.
pub(crate) fn large() -> Chat {
    Chat { body: chat(&prose(64 << 10), false), number: None }
}

/// The same, another one for each request.
pub(crate) fn large_new() -> Chat {
    let body = chat(&format!("{NUMBER} {}", prose(64 << 10)), false);
    let at = body.windows(NUMBER.len()).position(|part| part == NUMBER.as_bytes());
    Chat { body, number: at.map(|at| (at, Arc::default())) }
}

/// A small chat whose answer is to be streamed.
pub(crate) fn streamed() -> Bytes {
    chat(&prose(120), true)
}

fn chat(text: &str, is_stream: bool) -> Bytes {
    let messages = json!([{"role": "user", "content": text}]);
    let body = match is_stream {
        false => json!({"model": MODEL, "messages": messages}),
        true => json!({"model": MODEL, "messages": messages, "stream": true}),
    };
    Bytes::from(body.to_string())
}

/// Words in an order that no compressor or cache knows by heart, in sentences of twelve.
fn prose(length: usize) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::with_capacity(length + 16);
    let mut state: u32 = 7;
    for count in 1.. {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words.get((state >> 16) as usize % words.len()).copied().unwrap_or("the"));
        if text.len() >= length {
            break;
        }
        text.push_str(if count % 12 == 0 { ". " } else { " " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_sizes_they_are_named_for() {
        assert!((150..250).contains(&small().next().len()), "{}", small().next().len());
        assert!((64 << 10..66 << 10).contains(&large().next().len()), "{}", large().next().len());
        assert_eq!(large().next(), large().next());
        let new = large_new();
        assert_ne!(new.next(), new.next());
    }
}
