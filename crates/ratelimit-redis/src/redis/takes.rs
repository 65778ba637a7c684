//! The short way for what is asked most: takes, each from one bucket that no other act of the call is about. Its
//! script has a local for each number where the long one has tables, which costs Redis half as much; so there is
//! one for each number of quotas.

use crate::op::{Act, Part, Step};
use crate::quota::{Kind, Refill};
use crate::redis::batch::{Batch, Numbers, Together, tag};

const TEMPLATE: &str = include_str!("takes.lua");

/// Most quotas of a bucket that have a script.
pub(crate) const MOST_QUOTAS: usize = 8;

/// The script for buckets with so many quotas.
pub(crate) fn script(quotas: usize) -> String {
    let mut script = String::with_capacity(TEMPLATE.len() * 2);
    let code = TEMPLATE.lines().filter(|line| !line.starts_with("--"));
    for line in code {
        let line = line.replace("QUOTAS", &quotas.to_string()).replace("BYTES", &(2 * quotas).to_string());
        let line = written_out(&written_out(&line, "@(", ')', ", ", quotas), "@[", ']', "", quotas);
        let times = if line.contains('@') { quotas } else { 1 };
        for quota in 1..=times {
            script.push_str(&line.replace('@', &quota.to_string()));
            script.push('\n');
        }
    }
    script
}

/// What stands between `open` and `close`, once for each quota.
fn written_out(line: &str, open: &str, close: char, between: &str, quotas: usize) -> String {
    let mut line = line.to_owned();
    while let Some((before, rest)) = line.split_once(open)
        && let Some((item, after)) = rest.split_once(close)
    {
        let items: Vec<String> = (1..=quotas).map(|quota| item.replace('@', &quota.to_string())).collect();
        line = format!("{before}{}{after}", items.join(between));
    }
    line
}

/// How many quotas each act is about, if the batch can go the short way.
pub(crate) fn quotas(batch: &Batch) -> Option<usize> {
    let quotas = batch.acts.first()?.op.parts.len();
    let is_short = quotas <= MOST_QUOTAS
        && batch.slots.is_empty()
        && batch.records.len() == batch.acts.len()
        && batch.acts.iter().all(|act| act.op.parts.len() == quotas && is_of_one_bucket(act));
    is_short.then_some(quotas)
}

fn is_of_one_bucket(Together { op, .. }: &Together) -> bool {
    let costs_something = |part: &Part| matches!(part.step, Step::Take { cost, .. } if cost > 0);
    let bucket = op.parts.first().map(|part| &part.bucket);
    op.act == Act::Take
        && op.parts.iter().any(costs_something)
        && op.parts.iter().all(|part| Some(&part.bucket) == bucket)
}

/// The argument of the short script.
pub(crate) fn encode(batch: &Batch) -> Vec<u8> {
    let quotas = batch.acts.first().map_or(0, |act| act.op.parts.len());
    let mut numbers = Numbers(Vec::with_capacity(24 * quotas + batch.acts.len() * (8 + 16 * quotas)));
    let mut last: &[Part] = &[];
    for Together { op, times } in &batch.acts {
        let has_rates_of_last = op.parts.len() == last.len()
            && op.parts.iter().zip(last).all(|(part, last)| (part.unit, part.kind) == (last.unit, last.kind));
        let times = f64::from(*times);
        numbers.put_double(if has_rates_of_last { times } else { -times });
        for part in &op.parts {
            if let Step::Take { cost, capacity } = part.step {
                numbers.put_all(&[cost, capacity]);
            }
        }
        if !has_rates_of_last {
            refills(&op.parts).for_each(|(unit, refill)| numbers.0.extend(tag(unit, refill).to_le_bytes()));
            refills(&op.parts).for_each(|(_, refill)| numbers.put_all(&[refill.back(), refill.step()]));
        }
        last = &op.parts;
    }
    numbers.0
}

fn refills(parts: &[Part]) -> impl Iterator<Item = (&'static str, Refill)> {
    parts.iter().filter_map(|part| match part.kind {
        Kind::Bucket(refill) => Some((part.unit, refill)),
        Kind::Slots { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn each_number_of_quotas_has_its_script() {
        let two = script(2);
        assert!(two.contains("unpack_from('<c4I7I7d', value)"), "{two}");
        assert!(two.contains("local tags, back1, step1, now1, tick1, back2, step2, now2, tick2\n"), "{two}");
        assert!(two.contains("    if used1 < 0 then used1 = 0 end\n    if used2 < 0 then"), "{two}");
        assert!(!two.contains('@') && !two.contains("QUOTAS") && !two.contains("BYTES"), "{two}");
    }
}
