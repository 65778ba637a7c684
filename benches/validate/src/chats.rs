//! V1c: a chat as it comes most often, beside a tree of the same bytes by `serde_json`.

use bench_validate::{at_most, bodies, measure};
use bytes::Bytes;
use core_validate::{Head, Operation, Validator};

const TURNS: usize = 400;
const EACH: usize = 100;

pub(crate) fn run() {
    let cases = [("chat", bodies::chat()), ("chat with 20 tools", bodies::chat_with_tools())];
    let mut ratios = Vec::new();
    for (name, body) in cases {
        let body = Bytes::from(body);
        let (validator, head) = (Validator::default(), Head::default());
        let turns = measure::Turns::take(
            TURNS,
            [&mut || measure::time(EACH, || validator.parse(Operation::Chat, &head, &body).map(drop)), &mut || {
                measure::time(EACH, || serde_json::from_slice::<serde_json::Value>(&body).map(drop))
            }],
        );
        let each = EACH as f64 / 1e6;
        println!(
            "{name:<20} {:>6} B  ours {:>6.2} us  Value {:>6.2} us  ratio {:.2}",
            body.len(),
            turns.of(0) / each,
            turns.of(1) / each,
            turns.ratio(0, 1)
        );
        ratios.push(turns.ratio(0, 1));
    }
    at_most("V1c.time", ratios.first().copied().unwrap_or(f64::NAN), 2.0);
}
