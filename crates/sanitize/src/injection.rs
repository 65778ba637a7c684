//! Phrases that try to take a model over, from `rules/injection.txt`.

use std::collections::BTreeSet;

use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Finding, Label};
use crate::leads::Leads;
use crate::normalize::Normalized;
use crate::rules::{self, Rule};
use crate::squeezed::Squeezed;

const BUILT_IN: &str = include_str!("../rules/injection.txt");

/// Finds known phrasings of injections, jailbreaks and requests for the system prompt, in the
/// folded text and in its other readings ([`Normalized::views`]).
///
/// A net with holes: new phrasings, most languages and requests that look ordinary pass. On public
/// attack collections, lists like this one find about one in fifteen. It judges whole texts. A finding points to the
/// phrase in the original, or to all of the code that it was decoded from.
#[derive(Debug)]
pub struct Injection {
    rules: Vec<Rule>,
    leads: Leads,
    squeezed: Squeezed,
}

impl Injection {
    /// The built-in rules. Compiles them, which takes milliseconds: keep the result.
    ///
    /// # Errors
    /// If the rule file compiled into this crate is broken, which its tests rule out.
    pub fn new() -> Result<Self, BuildError> {
        let rules = rules::parse(BUILT_IN)?;
        let leads = Leads::new(&rules)?;
        let squeezed = Squeezed::new(&rules)?;
        Ok(Self { rules, leads, squeezed })
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
        self.leads.matching(text.folded(), |rule, range| {
            let range = text.original_range(range);
            matched.insert((range.start, range.end, rule));
        });
        for view in text.views() {
            let mut add = |rule, range: std::ops::Range<usize>| {
                if !view.is_plain(range.clone()) {
                    let range = text.original_range_of(view, range);
                    matched.insert((range.start, range.end, rule));
                }
            };
            match view.is_run_together() {
                true => self.squeezed.matching(view.folded(), &mut add),
                false => self.leads.matching(view.folded(), &mut add),
            }
        }
        for (start, end, rule) in matched {
            let Some(rule) = self.rules.get(rule) else { continue };
            found.push(Finding::new(rule.label, rule.id, rule.severity).at(start..end));
        }
    }

    fn window(&self) -> Option<usize> {
        None
    }
}
