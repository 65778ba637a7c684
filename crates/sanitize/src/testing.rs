//! Proves that a [`Detector`] keeps its contract (feature `testing`).

use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Action, Finding};
use crate::normalize::Normalized;
use crate::sanitizer::Sanitizer;

/// How a detector breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The same text gave different findings.
    #[error("sample {sample}: two runs differ")]
    NotPure {
        /// The index of the sample.
        sample: usize,
    },
    /// A range is not in the text, not on character boundaries, or longer than the window.
    #[error("sample {sample}: rule {rule} has an impossible range")]
    BadRange {
        /// The index of the sample.
        sample: usize,
        /// The rule that was reported.
        rule: String,
    },
    /// A detector with a window made a finding without a range.
    #[error("sample {sample}: rule {rule} has no range, though the detector has a window")]
    NoRange {
        /// The index of the sample.
        sample: usize,
        /// The rule that was reported.
        rule: String,
    },
    /// `open_from` is beyond the text, inside a character, or holds back more than the window.
    #[error("sample {sample}: `open_from` is out of bounds")]
    BadHold {
        /// The index of the sample.
        sample: usize,
    },
    /// A stream did not give what a whole check gives: the detector is not local.
    #[error("sample {sample}: cut into single characters, it is judged differently")]
    NotLocal {
        /// The index of the sample.
        sample: usize,
    },
    /// No sample has a finding: the suite proves nothing.
    #[error("no sample has a finding")]
    NothingFound,
    /// No sanitizer could be built with it.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Texts that every detector must stand, added to the samples.
const HOSTILE: [&str; 6] =
    ["", "\n\n\n", "<<<<[[[[||||", "\u{feff}é\u{301}\u{301}漢字🙂", "%%%25%zz", "eyJeyJ-----BEGIN "];

/// Checks the detectors that `make` gives over `samples`, at least one of which must have a finding.
///
/// # Errors
/// The first breach of the contract of [`Detector`] that was seen. Samples are counted from zero.
pub fn suite<D: Detector + 'static>(make: impl Fn() -> D, samples: &[&str]) -> Result<(), Fault> {
    let detector = make();
    let redacting = Sanitizer::builder().detector(make(), Action::Redact).build()?;
    let blocking = Sanitizer::builder().detector(make(), Action::Block).build()?;
    let mut total = 0;
    for (sample, text) in samples.iter().copied().chain(HOSTILE).enumerate() {
        let found = run(&detector, text);
        if found != run(&detector, text) {
            return Err(Fault::NotPure { sample });
        }
        for finding in &found {
            check_range(&detector, text, finding, sample)?;
        }
        check_hold(&detector, text, sample)?;
        if !is_local(&redacting, text) || !is_local(&blocking, text) {
            return Err(Fault::NotLocal { sample });
        }
        total += found.len();
    }
    if total == 0 { Err(Fault::NothingFound) } else { Ok(()) }
}

fn run(detector: &dyn Detector, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    detector.detect(&Normalized::new(text), &mut found);
    found
}

fn check_range(detector: &dyn Detector, text: &str, finding: &Finding, sample: usize) -> Result<(), Fault> {
    let rule = finding.rule().to_owned();
    match (finding.range(), detector.window()) {
        (None, Some(_)) => Err(Fault::NoRange { sample, rule }),
        (None, None) => Ok(()),
        (Some(range), window) => {
            let fits = window.is_none_or(|window| range.len() <= window);
            let is_there = text.get(range).is_some_and(|part| !part.is_empty());
            if fits && is_there { Ok(()) } else { Err(Fault::BadRange { sample, rule }) }
        }
    }
}

fn check_hold(detector: &dyn Detector, text: &str, sample: usize) -> Result<(), Fault> {
    let Some(window) = detector.window() else { return Ok(()) };
    for end in text.char_indices().map(|(at, _)| at).chain([text.len()]) {
        let tail = text.get(..end).unwrap_or_default();
        let open = detector.open_from(tail);
        let least = tail.floor_char_boundary(end.saturating_sub(window));
        if !tail.is_char_boundary(open) || open < least {
            return Err(Fault::BadHold { sample });
        }
    }
    Ok(())
}

/// Whether a stream of single characters ends like a check of the whole text.
fn is_local(sanitizer: &Sanitizer, text: &str) -> bool {
    let whole = sanitizer.check(text);
    let mut stream = sanitizer.stream();
    let mut clean = Ok(String::new());
    for ch in text.chars() {
        let chunk = stream.push(ch.encode_utf8(&mut [0; 4]));
        clean = clean.and_then(|clean| chunk.map(|chunk| clean + &chunk));
    }
    let last = stream.finish();
    let clean = clean.and_then(|clean| last.map(|last| clean + &last));
    match clean {
        Ok(clean) => whole.action() != Action::Block && clean == whole.into_text(),
        Err(_) => whole.action() == Action::Block,
    }
}
