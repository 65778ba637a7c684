//! What share of the attacks each way of looking finds, by kind and family.

use std::collections::BTreeMap;

use crate::lab::corpus::Row;
use crate::lab::rehearsal;

/// A way of looking, and which rows it flags.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) flagged: Vec<bool>,
}

impl Column {
    /// Flags what reaches the threshold that `share` of the honest rows reach.
    pub(crate) fn at(name: &'static str, rows: &[Row], scores: &[f32], share: f64) -> Self {
        let honest = rows.iter().zip(scores).filter(|(row, _)| !row.is_attack()).map(|(_, score)| *score);
        let threshold = rehearsal::threshold(&honest.collect::<Vec<_>>(), share);
        Self { name, flagged: scores.iter().map(|score| *score >= threshold).collect() }
    }

    /// The share that is flagged of the rows that `is_meant`; zero of none.
    pub(crate) fn share(&self, rows: &[Row], is_meant: impl Fn(&Row) -> bool) -> f64 {
        let meant = || rows.iter().zip(&self.flagged).filter(|(row, _)| is_meant(row));
        meant().filter(|(_, flagged)| **flagged).count() as f64 / meant().count().max(1) as f64
    }
}

/// Prints one line for all attacks, for each kind and each family of them, and for the honest rows.
pub(crate) fn print(rows: &[Row], columns: &[Column]) {
    let names: String = columns.iter().map(|column| format!("{:>16}", column.name)).collect();
    println!("{:<36}{:>6}{names}", "share flagged, %", "rows");
    let line = |name: &str, is_meant: &dyn Fn(&Row) -> bool| {
        let count = rows.iter().filter(|row| is_meant(row)).count();
        let shares = columns.iter().map(|column| format!("{:>16.1}", column.share(rows, is_meant) * 100.0));
        println!("{name:<36}{count:>6}{}", shares.collect::<String>());
    };
    line("attacks", &Row::is_attack);
    for is_attack in [true, false] {
        let mut kinds = BTreeMap::new();
        let mut families = BTreeMap::new();
        for row in rows.iter().filter(|row| row.is_attack() == is_attack) {
            kinds.insert(row.kind.as_str(), ());
            families.insert(row.family(), ());
        }
        for kind in kinds.keys() {
            line(&format!("  kind {kind}"), &|row| row.is_attack() == is_attack && row.kind == *kind);
        }
        for family in families.keys() {
            line(&format!("  from {family}"), &|row| row.is_attack() == is_attack && row.family() == *family);
        }
        if is_attack {
            line("honest", &|row| !row.is_attack());
        }
    }
}
