//! What is asked: chats of ordinary words, the same in every run.

use bytes::Bytes;
use serde_json::json;

/// The name of the model, as the gateway knows it.
pub(crate) const MODEL: &str = "bench";

const WORDS: [&str; 64] = [
    "the", "morning", "train", "leaves", "a", "small", "station", "near", "river", "and", "people", "carry", "bread",
    "books", "letters", "from", "one", "town", "to", "another", "while", "rain", "falls", "on", "green", "fields",
    "where", "horses", "stand", "under", "old", "trees", "children", "count", "boats", "along", "wide", "water",
    "summer", "evening", "brings", "music", "into", "every", "street", "market", "sells", "apples", "honey", "paper",
    "lamps", "with", "good", "price", "for", "winter", "gardens", "need", "careful", "hands", "some", "patience",
    "many", "friends",
];

/// A chat of about 200 bytes.
pub(crate) fn small() -> Bytes {
    chat(&prose(120), false)
}

/// A chat with one message of about 64 KiB.
pub(crate) fn large() -> Bytes {
    chat(&prose(64 << 10), false)
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
    let mut text = String::with_capacity(length + 16);
    let mut state: u32 = 7;
    for count in 1.. {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(WORDS.get((state >> 26) as usize).copied().unwrap_or("the"));
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
        assert!((150..250).contains(&small().len()), "{}", small().len());
        assert!((64 << 10..66 << 10).contains(&large().len()), "{}", large().len());
    }
}
