//! A set of literal words as one automaton that also knows how much of a word is open.
//!
//! Aho and Corasick, "Efficient string matching", CACM 18(6), 1975. The `aho-corasick` crate does
//! not tell the depth of a state, which is what a stream has to hold back.

use std::collections::{BTreeMap, VecDeque};

/// The state in which no word is open.
pub(crate) const ROOT: usize = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Words are found anywhere, without regard to ASCII case.
    Anywhere,
    /// Words are followed from the root only, as they are written.
    Anchored,
}

#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    kind: Kind,
    ascii: Vec<usize>,
    beyond: BTreeMap<char, usize>,
    width: usize,
    /// Half as wide as an index: the table of the built-in tokens has to stay in a cache.
    next: Vec<u32>,
    depth: Vec<usize>,
    word: Vec<Option<usize>>,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<usize, usize>,
    depth: usize,
    word: Option<usize>,
}

impl Automaton {
    pub(crate) fn new<'w>(kind: Kind, words: impl Iterator<Item = &'w str>) -> Self {
        let mut classes = BTreeMap::new();
        let mut nodes = vec![Node::default()];
        for (index, word) in words.enumerate() {
            insert(&mut nodes, &mut classes, kind, index, word);
        }
        let width = classes.len() + 1;
        let (next, word) = link(&nodes, width, kind);
        let mut ascii = vec![0; 128];
        for (at, slot) in ascii.iter_mut().enumerate() {
            let ch = u8::try_from(at).map_or('\0', char::from);
            *slot = classes.get(&fold(kind, ch)).copied().unwrap_or(0);
        }
        let depth = nodes.iter().map(|node| node.depth).collect();
        Self { kind, ascii, beyond: classes, width, next, depth, word }
    }

    pub(crate) fn step(&self, state: usize, ch: char) -> usize {
        let class = match self.ascii.get(ch as usize) {
            Some(class) => *class,
            None => self.beyond.get(&fold(self.kind, ch)).copied().unwrap_or(0),
        };
        if class == 0 {
            return ROOT;
        }
        follow(&self.next, state * self.width + class)
    }

    /// How many characters of a word are open in this state.
    pub(crate) fn depth(&self, state: usize) -> usize {
        self.depth.get(state).copied().unwrap_or(0)
    }

    /// The longest word that ends in this state.
    pub(crate) fn word(&self, state: usize) -> Option<usize> {
        self.word.get(state).copied().flatten()
    }
}

fn fold(kind: Kind, ch: char) -> char {
    match kind {
        Kind::Anywhere => ch.to_ascii_lowercase(),
        Kind::Anchored => ch,
    }
}

fn insert(nodes: &mut Vec<Node>, classes: &mut BTreeMap<char, usize>, kind: Kind, index: usize, word: &str) {
    let mut at = ROOT;
    for (depth, ch) in word.chars().enumerate() {
        let fresh = classes.len() + 1;
        let class = *classes.entry(fold(kind, ch)).or_insert(fresh);
        let known = nodes.get(at).and_then(|node| node.children.get(&class).copied());
        at = known.unwrap_or_else(|| {
            let child = nodes.len();
            nodes.push(Node { depth: depth + 1, ..Node::default() });
            if let Some(node) = nodes.get_mut(at) {
                node.children.insert(class, child);
            }
            child
        });
    }
    if at != ROOT
        && let Some(node) = nodes.get_mut(at)
    {
        node.word = Some(index);
    }
}

/// The transition table and the word that ends in each state, by breadth-first search.
fn link(nodes: &[Node], width: usize, kind: Kind) -> (Vec<u32>, Vec<Option<usize>>) {
    let mut next = vec![0; nodes.len() * width];
    let mut fail = vec![ROOT; nodes.len()];
    let mut word: Vec<Option<usize>> = nodes.iter().map(|node| node.word).collect();
    let mut queue = VecDeque::from([ROOT]);
    while let Some(state) = queue.pop_front() {
        let Some(node) = nodes.get(state) else { continue };
        let back = fail.get(state).copied().unwrap_or(ROOT);
        for class in 1..width {
            let is_first = state == ROOT || kind == Kind::Anchored;
            let through = if is_first { ROOT } else { follow(&next, back * width + class) };
            let target = node.children.get(&class).copied();
            if let Some(child) = target {
                if let Some(slot) = fail.get_mut(child) {
                    *slot = through;
                }
                queue.push_back(child);
            }
            if let Some(slot) = next.get_mut(state * width + class) {
                *slot = u32::try_from(target.unwrap_or(through)).unwrap_or(0);
            }
        }
        let inherited = word.get(back).copied().flatten();
        if let Some(own) = word.get_mut(state) {
            *own = own.or(inherited);
        }
    }
    (next, word)
}

fn follow(table: &[u32], at: usize) -> usize {
    table.get(at).map_or(ROOT, |state| *state as usize)
}
