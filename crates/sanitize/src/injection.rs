//! Phrases that try to take a model over, from `rules/injection.txt`.

use std::collections::BTreeSet;

use crate::decode::View;
use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Finding, Label};
use crate::leads::Leads;
use crate::normalize::Normalized;
use crate::rules::{self, Rule};

const BUILT_IN: &str = include_str!("../rules/injection.txt");

/// Finds known phrasings of injections, jailbreaks and requests for the system prompt, in the
/// folded text and in what it contains in encoded form.
///
/// A net with holes: new phrasings, most languages and requests that look ordinary pass. On public
/// attack collections, lists like this one find about one in fifteen. It judges whole texts and its
/// findings have no range, so with [`Action::Redact`](crate::Action::Redact) it blocks.
#[derive(Debug)]
pub struct Injection {
    rules: Vec<Rule>,
    leads: Leads,
}

impl Injection {
    /// The built-in rules. Compiles them, which takes milliseconds: keep the result.
    ///
    /// # Errors
    /// If the rule file compiled into this crate is broken, which its tests rule out.
    pub fn new() -> Result<Self, BuildError> {
        let rules = rules::parse(BUILT_IN)?;
        let leads = Leads::new(&rules)?;
        Ok(Self { rules, leads })
    }

    /// All rules, with their examples.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Detector for Injection {
    fn label(&self) -> Label {
        Label::Injection
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let mut matched = BTreeSet::new();
        let views = text.views().iter().map(View::folded);
        for folded in std::iter::once(text.folded()).chain(views) {
            self.leads.matching(folded, |index| {
                matched.insert(index);
            });
        }
        let rules = matched.iter().filter_map(|index| self.rules.get(*index));
        found.extend(rules.map(|rule| Finding::new(rule.label, rule.id, rule.severity)));
    }

    fn window(&self) -> Option<usize> {
        None
    }
}
