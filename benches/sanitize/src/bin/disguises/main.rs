//! `just eval-sanitize`, S6: whether a disguise changes the verdict. Every transform is put over fresh texts, attacks
//! that are blocked plain and honest ones that are not; prints the share of equal verdicts for each, and the goal.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark fails by panicking, and prints")]

mod inputs;
mod transforms;

use bench_sanitize::at_least;
use sanitize::{Action, Injection, Sanitizer};

use transforms::{CODES, SPELLINGS, Transform};

/// Equal verdicts, and all.
#[derive(Default, Clone, Copy)]
struct Share {
    equal: usize,
    all: usize,
}

impl Share {
    fn add(&mut self, other: Self) {
        self.equal += other.equal;
        self.all += other.all;
    }

    fn value(self) -> f64 {
        self.equal as f64 / self.all.max(1) as f64
    }
}

fn main() {
    let sanitizer = Sanitizer::input_default().unwrap();
    let is_blocked = |text: &str| sanitizer.check(text).action() == Action::Block;
    let injection = Injection::new().unwrap();
    let examples = injection.rules().iter().map(|rule| rule.example().to_owned());
    let attacks = examples.chain(inputs::attacks()).filter(|text| text.is_ascii());
    let (attacks, missed): (Vec<_>, Vec<_>) = attacks.partition(|text| is_blocked(text));
    let (false_alarms, honest): (Vec<_>, Vec<_>) = inputs::honest().into_iter().partition(|text| is_blocked(text));
    println!("{} attacks that are blocked plain, {} others left out", attacks.len(), missed.len());
    println!("{} honest texts that pass, {} others left out", honest.len(), false_alarms.len());
    let measure = |apply: &dyn Fn(&str) -> String| {
        let share = |texts: &[String], want: bool| Share {
            equal: texts.iter().filter(|text| is_blocked(&apply(text)) == want).count(),
            all: texts.len(),
        };
        [share(&attacks, true), share(&honest, false)]
    };
    let mut total = Line::default();
    for Transform { name, apply } in CODES.iter().chain(SPELLINGS) {
        add(&mut total, &print(name, measure(&|text| apply(text))));
    }
    let mut pairs = Vec::new();
    for outer in CODES {
        for inner in CODES.iter().chain(SPELLINGS).filter(|inner| outer.takes(inner)) {
            let shares = measure(&|text| (outer.apply)(&(inner.apply)(text)));
            pairs.push((format!("{} of {}", outer.name, inner.name), shares));
        }
    }
    let mut of_pairs = Line::default();
    pairs.iter().for_each(|(_, shares)| add(&mut of_pairs, shares));
    add(&mut total, &print(&format!("all {} pairs, a code over any other", pairs.len()), of_pairs));
    pairs.sort_by(|(_, one), (_, other)| worse(one).total_cmp(&worse(other)));
    println!("the worst pairs:");
    pairs.iter().take(12).for_each(|(name, shares)| {
        print(name, *shares);
    });
    at_least("S6", worse(&total), 0.95);
}

fn add(total: &mut Line, line: &Line) {
    total.iter_mut().zip(line).for_each(|(total, share)| total.add(*share));
}

/// Of attacks, and of honest texts.
type Line = [Share; 2];

fn worse(line: &Line) -> f64 {
    line.iter().map(|share| share.value()).fold(1.0, f64::min)
}

fn print(name: &str, line: Line) -> Line {
    let [attacks, honest] = line.map(|share| share.value() * 100.0);
    println!("{name:<56} attacks {attacks:>6.1} %  honest {honest:>6.1} %");
    line
}
