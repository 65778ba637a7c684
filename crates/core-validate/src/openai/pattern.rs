//! Patterns of JSON schemas: whether they are regular and not large, as far as reading them tells. What a server makes
//! of one may still be larger than it.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{Ast, ErrorKind, Repetition, RepetitionKind, RepetitionRange};

/// How often a pattern's parts may stand side by side once its counted repetitions are written out.
const STEPS: u64 = 10_000;

/// What a server would make of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// It is regular, so that it can be matched in linear time, and of so many steps once it is written out.
    Sound(u64),
    /// ECMAScript has more than that: it looks around, or refers to what it matched. Servers refuse or ignore it.
    Beyond,
    /// It is none, or too large.
    Unsound,
}

/// Reads a pattern. Takes time and memory in proportion to its length.
pub(super) fn read(pattern: &str) -> Pattern {
    match ParserBuilder::new().nest_limit(64).build().parse(pattern) {
        // Flags change how the rest is read, and ECMAScript has none in a pattern.
        Ok(ast) if has_flags(&ast) => Pattern::Beyond,
        Ok(ast) => match steps(&ast) {
            steps if steps <= STEPS => Pattern::Sound(steps),
            _ => Pattern::Unsound,
        },
        Err(error) => match error.kind() {
            ErrorKind::UnsupportedLookAround
            | ErrorKind::UnsupportedBackreference
            | ErrorKind::ClassRangeLiteral
            | ErrorKind::ClassEscapeInvalid
            | ErrorKind::EscapeUnrecognized => Pattern::Beyond,
            _ => Pattern::Unsound,
        },
    }
}

/// The parser bounds how deep this goes.
fn has_flags(ast: &Ast) -> bool {
    match ast {
        Ast::Flags(_) => true,
        Ast::Repetition(repetition) => has_flags(&repetition.ast),
        Ast::Group(group) => group.flags().is_some_and(|flags| !flags.items.is_empty()) || has_flags(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().any(has_flags),
        Ast::Concat(concat) => concat.asts.iter().any(has_flags),
        _ => false,
    }
}

/// The same goes for this.
fn steps(ast: &Ast) -> u64 {
    match ast {
        Ast::Repetition(repetition) => steps(&repetition.ast).saturating_mul(most(repetition)),
        Ast::Group(group) => steps(&group.ast),
        Ast::Alternation(alternation) => sum(&alternation.asts),
        Ast::Concat(concat) => sum(&concat.asts),
        _ => 1,
    }
}

fn sum(asts: &[Ast]) -> u64 {
    asts.iter().fold(1, |sum, ast| sum.saturating_add(steps(ast)))
}

fn most(repetition: &Repetition) -> u64 {
    match repetition.op.kind {
        RepetitionKind::Range(RepetitionRange::Exactly(most) | RepetitionRange::Bounded(_, most)) => u64::from(most),
        RepetitionKind::Range(RepetitionRange::AtLeast(least)) => u64::from(least) + 1,
        _ => 1,
    }
    .max(1)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, read};

    #[test]
    fn patterns_are_told_apart() {
        for pattern in [
            "^[a-z]+$",
            r"^\d{4}-\d{2}$",
            r"^(?:a|b)*\/\.[\w.-]+$",
            r"\p{L}\u20E3",
            "(a+)+$",
            "",
            r"^\(?\d{3}\)?[- ]?\d{4}$",
            "[(?]",
        ] {
            assert!(matches!(read(pattern), Pattern::Sound(_)), "{pattern}");
        }
        for pattern in
            [r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", r"(a)\1", r"[\w-.]", "(?<=a)b", "^(?x)#((a{9999}){9999})$", "(?i:a)"]
        {
            assert_eq!(read(pattern), Pattern::Beyond, "{pattern}");
        }
        let deep = "(".repeat(100) + &")".repeat(100);
        for pattern in ["[a", "(", "*a", "a{2,1}", "(a{1000}){1000}", "((a{100}){100}){100}", deep.as_str()] {
            assert_eq!(read(pattern), Pattern::Unsound, "{pattern}");
        }
    }
}
