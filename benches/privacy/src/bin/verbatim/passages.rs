//! Copies of protected texts in honest ones: how many are found, what else is found, and what it takes.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bench_privacy::Goal;
use bench_privacy::random::Random;
use privacy::{Protected, ProtectedSecret, ProtectedStream};
use rustix::time::{ClockId, clock_gettime};

use crate::corpus;

/// How long copies are, in bytes, white space counting as one space.
const COPY: usize = 150;
/// Passages must be found within so many bytes.
const WINDOW: usize = 192;
const COPIES: usize = 20_000;

/// Prints the figures of the filter.
pub(crate) fn run(goal: &mut Goal, protected_texts: &[String], honest_texts: &[String]) {
    let bytes: usize = protected_texts.iter().map(String::len).sum();
    let protected = build(goal, protected_texts, bytes);
    println!("{:.0} MB protected, {} fingerprints", bytes as f64 / 1e6, protected.fingerprints());
    speed(goal, &protected, honest_texts);
    false_alarms(goal, &protected, protected_texts, honest_texts);
    copies(goal, &Arc::new(protected), protected_texts, honest_texts);
}

/// How long this thread computed so far: other programs make no difference.
fn computed() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// The filter, read from its file.
fn build(goal: &mut Goal, texts: &[String], bytes: usize) -> Protected {
    let secret = ProtectedSecret::from_bytes([7; 32]);
    let mut builder = Protected::builder(bytes as u64, &secret).unwrap();
    // As much as texts take that repeat nothing.
    let size = builder.size() as f64 / f64::from(1 << 20);
    goal.at_most("MiB for each GB of text", size / (bytes as f64 / 1e9), 200.0);
    let start = computed();
    texts.iter().for_each(|text| builder.add_reader(text.as_bytes()).unwrap());
    let protected = builder.finish();
    goal.at_least("MB/s built", bytes as f64 / 1e6 / (computed() - start).as_secs_f64(), 50.0);
    let mut file = Vec::new();
    protected.write(&mut file).unwrap();
    let start = computed();
    let protected = Protected::read(file.as_slice(), &secret).unwrap();
    println!("a file of {} MB is read in {:.0} ms", file.len() / 1_000_000, (computed() - start).as_secs_f64() * 1e3);
    protected
}

/// Answers of 4 KB, one after the other, so that little of the filter is in caches.
fn speed(goal: &mut Goal, protected: &Protected, honest: &[String]) {
    let text: String = honest.iter().take(2_000).map(String::as_str).collect();
    let start = computed();
    let mut answers = 0;
    let mut from = 0;
    while let Some(answer) = text.get(from..from + 4_096) {
        std::hint::black_box(protected.matches(answer));
        answers += 1;
        from += 4_096;
    }
    let seconds = (computed() - start).as_secs_f64();
    println!("an answer of 4 KB takes {:.0} us", seconds * 1e6 / f64::from(answers));
    goal.at_least("MB/s asked", from as f64 / 1e6 / seconds, 50.0);
}

fn false_alarms(goal: &mut Goal, protected: &Protected, protected_texts: &[String], honest: &[String]) {
    let bytes: usize = honest.iter().map(String::len).sum();
    let found: Vec<String> = honest
        .iter()
        .flat_map(|text| protected.matches(text).into_iter().map(|range| text[range].to_owned()))
        .collect();
    let is_shared = corpus::shared(&found, protected_texts);
    let alarms: Vec<&String> =
        found.iter().zip(is_shared).filter(|(_, is_shared)| !is_shared).map(|(text, _)| text).collect();
    let shared = found.len() - alarms.len();
    println!("{:.0} MB honest: {shared} passages do stand in both", bytes as f64 / 1e6);
    alarms.iter().take(5).for_each(|alarm| println!("false alarm: {alarm:?}"));
    goal.at_most("false alarms for each MB", alarms.len() as f64 / (bytes as f64 / 1e6), 0.1);
}

fn copies(goal: &mut Goal, protected: &Arc<Protected>, texts: &[String], honest: &[String]) {
    let mut random = Random::new(9);
    let mut taken = Vec::new();
    let mut all = 0;
    while taken.len() < COPIES {
        let copy = copy(&texts[random.below(texts.len())], &mut random);
        let Some(copy) = copy else { continue };
        all += 1;
        if is_telling(&copy) {
            taken.push(copy);
        }
    }
    println!(
        "{:.4} of all stretches of {COPY} bytes are passages, not rules and rows of zeros",
        taken.len() as f64 / f64::from(all)
    );
    let mut found = [0; 4];
    for copy in &taken {
        let text = &honest[random.below(honest.len())];
        let before = &text[..random.below(400)];
        for (count, written) in found.iter_mut().zip([copy.clone(), wrapped(copy, &mut random), loud(copy)]) {
            let answer = format!("{before}\n{written}\n{before}");
            let place = before.len()..before.len() + 1 + written.len();
            *count += u32::from(is_found_in_window(protected, &answer, &place));
        }
        let answer = format!("{before}\n{}\n{before}", wrapped(copy, &mut random));
        found[3] += u32::from(is_found_in_chunks(protected, &answer, before.len(), &mut random));
    }
    let share = |found: u32| f64::from(found) / COPIES as f64;
    let forms = ["plain", "re-wrapped", "in capitals, without punctuation", "re-wrapped, in chunks"];
    forms.iter().zip(found).for_each(|(form, found)| goal.at_least(&format!("copies {form}"), share(found), 0.999));
}

/// Whether it has enough letters, and not the same few over and over: what else could it be a copy of?
fn is_telling(copy: &str) -> bool {
    let letters = corpus::letters(copy);
    let different: HashSet<&[u8; 8]> = letters.array_windows().collect();
    letters.len() >= Protected::DEFAULT_LEAST && different.len() >= 32
}

/// A copy from anywhere in a text.
fn copy(text: &str, random: &mut Random) -> Option<String> {
    let from = random.below(text.len());
    let mut copy = String::new();
    for word in text[from..].split_ascii_whitespace().take(COPY) {
        copy += word;
        copy.push(' ');
        if copy.len() > COPY {
            copy.truncate(COPY);
            return Some(copy);
        }
    }
    None
}

/// As a quotation with lines of other lengths, other brackets and dashes.
fn wrapped(copy: &str, random: &mut Random) -> String {
    let space = |ch: char| match ch {
        ' ' if random.below(8) == 0 => "\n> ".to_owned(),
        ' ' if random.below(8) == 0 => "  ".to_owned(),
        '-' | '_' => "\u{2011}".to_owned(),
        '.' | ',' => ";".to_owned(),
        '"' | '\'' | '`' => "\u{201d}".to_owned(),
        other => other.to_string(),
    };
    copy.chars().map(space).collect()
}

fn loud(copy: &str) -> String {
    copy.to_uppercase().chars().filter(|ch| ch.is_alphanumeric() || *ch == ' ').collect()
}

fn is_found_in_window(protected: &Protected, answer: &str, place: &Range<usize>) -> bool {
    let mut is_found = false;
    protected.each_passage(answer, |range| is_found |= range.len() <= WINDOW && touches(&range, place));
    is_found
}

fn touches(range: &Range<usize>, place: &Range<usize>) -> bool {
    range.start < place.end && range.end > place.start
}

fn is_found_in_chunks(protected: &Arc<Protected>, answer: &str, from: usize, random: &mut Random) -> bool {
    let mut stream = ProtectedStream::new(Arc::clone(protected));
    let mut start = 0;
    let mut is_found = false;
    while start < answer.len() {
        let end = answer.ceil_char_boundary((start + 1 + random.below(24)).min(answer.len()));
        is_found |= stream.push(&answer[start..end]).iter().any(|range| range.end > from);
        start = end;
    }
    is_found
}
