//! Words of many languages that mean one thing to the score, from `weights/lexicon.txt`.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::error::BuildError;

const BUILT_IN: &str = include_str!("../../weights/lexicon.txt");

/// A meaning, such as "ignore", in whatever language it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Concept(u16);

impl Concept {
    /// A number for hashing; never zero.
    pub(crate) const fn code(self) -> u64 {
        self.0 as u64 + 1
    }
}

/// One word or stem of the lexicon.
#[derive(Debug)]
struct Word {
    concept: Concept,
    /// Whether a letter may stand before it: scripts without spaces.
    is_joined: bool,
    /// Whether letters may follow.
    is_stem: bool,
}

/// Finds concepts in folded text.
#[derive(Debug)]
pub(crate) struct Lexicon {
    automaton: AhoCorasick,
    words: Vec<Word>,
    checksum: u32,
}

impl Lexicon {
    /// The lexicon compiled into this crate.
    pub(crate) fn built_in() -> Result<Self, BuildError> {
        Self::parse(BUILT_IN)
    }

    /// One concept per line: its name, `:`, words parted by spaces. `_` stands for a space within a
    /// word; a `*` behind it allows any ending. Lines that start with `#` are comments.
    fn parse(file: &str) -> Result<Self, BuildError> {
        let (mut patterns, mut words, mut concepts) = (Vec::new(), Vec::new(), 0_u16);
        for (index, line) in file.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let problem = "no `concept: words`";
            let (_, list) = line.split_once(": ").ok_or(BuildError::RuleLine { line: index + 1, problem })?;
            for entry in list.split_whitespace() {
                let stem = entry.strip_suffix('*');
                let pattern = stem.unwrap_or(entry).replace('_', " ");
                let is_joined = pattern.starts_with(is_spaceless);
                words.push(Word { concept: Concept(concepts), is_joined, is_stem: stem.is_some() || is_joined });
                patterns.push(pattern);
            }
            concepts += 1;
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns);
        let automaton =
            automaton.map_err(|error| BuildError::Pattern { rule: "lexicon".to_owned(), reason: error.to_string() })?;
        Ok(Self { automaton, words, checksum: crc32fast::hash(file.as_bytes()) })
    }

    /// Of the file: weights belong to one lexicon.
    pub(crate) const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The concepts of `folded` in order, each with the end of its word.
    pub(crate) fn concepts(&self, folded: &str) -> impl Iterator<Item = (usize, Concept)> {
        self.automaton.find_iter(folded).filter_map(|found| {
            let word = self.words.get(found.pattern().as_usize())?;
            let is_letter = |ch: Option<char>| ch.is_some_and(|ch| ch.is_alphanumeric() && !is_spaceless(ch));
            let is_start = word.is_joined || !is_letter(folded.get(..found.start())?.chars().next_back());
            let is_end = word.is_stem || !is_letter(folded.get(found.end()..)?.chars().next());
            (is_start && is_end).then_some((found.end(), word.concept))
        })
    }
}

const fn is_spaceless(ch: char) -> bool {
    matches!(ch, '\u{e00}'..='\u{e7f}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concepts(lexicon: &Lexicon, text: &str) -> Vec<u16> {
        lexicon.concepts(text).map(|(_, concept)| concept.0).collect()
    }

    #[test]
    fn words_of_one_meaning_are_one_concept() {
        let lexicon = Lexicon::parse("# test\nignore: ignor* 无视 set_aside\nrule: rule rules\n").unwrap();
        for text in ["ignore the rules", "ignorez rule", "无视rules", "set aside any rule"] {
            assert_eq!(concepts(&lexicon, text), [0, 1], "{text}");
        }
        assert_eq!(concepts(&lexicon, "signor ruler unruled"), []);
    }

    #[test]
    fn the_built_in_lexicon_is_folded() {
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(crate::fold::fold(line), line);
        }
        assert!(Lexicon::built_in().is_ok());
    }

    #[test]
    fn a_line_without_a_concept_is_refused() {
        assert_eq!(
            Lexicon::parse("a: b\nwords alone\n").unwrap_err(),
            BuildError::RuleLine { line: 2, problem: "no `concept: words`" }
        );
    }
}
