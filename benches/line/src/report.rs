//! The table, and the goals that it is held against.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::wholes::Failures;
use crate::{Failure, streams, wholes};

/// What the goals are about.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// For each case, the gateway's processor time for a request against nginx's.
    pub(crate) cpu: Vec<(String, f64)>,
    /// For each case of streams, a time against the most it may be.
    pub(crate) streams: Vec<(String, f64)>,
    /// Requests of the gateway without the right answer.
    pub(crate) failed: u64,
    /// Most resident memory seen under load, in MiB.
    pub(crate) resident: f64,
    /// Most resident memory since the start, as the kernel noted it.
    pub(crate) most_resident: f64,
}

/// A line on standard output. A reader that has left is no failure.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Says why the run ended.
pub(crate) fn complain(failure: &Failure) {
    let _ = writeln!(io::stderr(), "bench-line: {failure}");
}

/// The heading of whole answers.
pub(crate) fn head_of_wholes() {
    say(&format!(
        "{:<12} {:<8} {:>10} {:>9} {:>9} {:>11} {:>9}  failures",
        "case", "way", "requests/s", "p50 ms", "p99 ms", "cpu us/req", "RSS MiB"
    ));
}

/// The rounds of one way in one line: medians of rates, percentiles over all requests.
pub(crate) fn wholes(case: &str, way: &str, rounds: &[wholes::Measured]) {
    let mut took: Vec<Duration> = rounds.iter().flat_map(|round| round.took.iter().copied()).collect();
    took.sort_unstable();
    let rate = median(rounds.iter().map(|round| round.rate).collect());
    let cpu = median(rounds.iter().map(|round| round.cpu).collect());
    let resident = rounds.iter().map(|round| round.resident).fold(0.0, f64::max);
    say(&format!(
        "{case:<12} {way:<8} {rate:>10.0} {:>9.3} {:>9.3} {:>11} {:>9}  {}",
        percentile(&took, 50),
        percentile(&took, 99),
        figure(cpu),
        figure(resident),
        failures(rounds.iter().map(|round| &round.failures)),
    ));
}

/// The heading of streams.
pub(crate) fn head_of_streams() {
    say("");
    say(&format!(
        "{:<12} {:<8} {:>10} {:>9} {:>9} {:>11} {:>9}  failures",
        "case", "way", "streams", "first ms", "total ms", "cpu us/str", "RSS MiB"
    ));
}

/// The rounds of one way in one line.
pub(crate) fn streams(case: &str, way: &str, rounds: &[streams::Measured]) {
    let count: usize = rounds.iter().map(|round| round.total.len()).sum();
    let first = median(rounds.iter().map(|round| middle(&round.first)).collect());
    let total = median(rounds.iter().map(|round| middle(&round.total)).collect());
    let cpu = median(rounds.iter().map(|round| round.cpu).collect());
    let resident = rounds.iter().map(|round| round.resident).fold(0.0, f64::max);
    say(&format!(
        "{case:<12} {way:<8} {count:>10} {first:>9.3} {total:>9.3} {:>11} {:>9}  {}",
        figure(cpu),
        figure(resident),
        failures(rounds.iter().map(|round| &round.failures)),
    ));
}

/// The goals, each with what it is made of.
pub(crate) fn goals(compared: &Compared) {
    say("");
    for (case, ratio) in &compared.cpu {
        say(&format!("gateway's CPU against nginx's, {case}: {ratio:.2}"));
    }
    for (case, ratio) in &compared.streams {
        say(&format!("gateway against the most it may take, {case}: {ratio:.3}"));
    }
    let (seen, most) = (compared.resident, compared.most_resident);
    say(&format!("gateway's resident memory at 64 connections: {seen:.1} MiB, peak since its start: {most:.1} MiB"));
    say("");
    // In this order what could not be measured is the worst of all.
    let worst = |ratios: &[(String, f64)]| ratios.iter().map(|(_, ratio)| *ratio).max_by(f64::total_cmp);
    say(&goal("L1", worst(&compared.cpu).unwrap_or(f64::NAN), 3.5));
    say(&goal("L2", compared.failed as f64, 0.0));
    say(&goal("L3", worst(&compared.streams).unwrap_or(f64::NAN), 1.0));
    say(&goal("L4", most, 60.0));
}

/// One goal. What is printed is what is judged, rounded up.
fn goal(name: &str, measured: f64, target: f64) -> String {
    let measured = (measured * 100.0).ceil() / 100.0;
    let verdict = if measured <= target { "met" } else { "missed" };
    format!("goal {name} {measured} <= {target} {verdict}")
}

/// A figure, unless it was not taken.
fn figure(measured: f64) -> String {
    if measured > 0.0 { format!("{measured:.1}") } else { "-".to_owned() }
}

fn failures<'a>(rounds: impl Iterator<Item = &'a Failures>) -> String {
    let mut all = Failures::new();
    rounds.for_each(|round| wholes::add(&mut all, round.clone()));
    let named: Vec<String> = all.iter().map(|(what, count)| format!("{count} x {what}")).collect();
    if named.is_empty() { "0".to_owned() } else { named.join(", ") }
}

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of sorted times, in milliseconds.
pub(crate) fn middle(sorted: &[Duration]) -> f64 {
    percentile(sorted, 50)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = sorted.len() * percent / 100;
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_have_one_form() {
        assert_eq!(goal("L1", 2.9, 3.5), "goal L1 2.9 <= 3.5 met");
        assert_eq!(goal("L2", 0.0, 0.0), "goal L2 0 <= 0 met");
        assert_eq!(goal("L3", 0.981, 1.0), "goal L3 0.99 <= 1 met");
        assert_eq!(goal("L3", 1.0001, 1.0), "goal L3 1.01 <= 1 missed");
        assert_eq!(goal("L4", f64::NAN, 60.0), "goal L4 NaN <= 60 missed");
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert!((percentile(&times, 99) - 199.0).abs() < 1e-9);
    }
}
