//! What `serde_json` reads, with numbers as exactly as they were written; what of it counts; and its canonical text,
//! the one that Python writes with sorted keys.

use core_validate::Operation;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// As Python writes it.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    /// Sorted by key.
    Map(Vec<(String, Tree)>),
}

/// Reads a text as `serde_json` does. Its own numbers lose bits, so that they are read from their text.
pub(crate) fn tree(text: &str) -> Option<Tree> {
    // Its bound on nesting holds for this only.
    serde_json::from_str::<serde_json::Value>(text).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    of(raw.get())
}

fn of(text: &str) -> Option<Tree> {
    Some(match text.bytes().next()? {
        b'n' => Tree::Null,
        b't' => Tree::Bool(true),
        b'f' => Tree::Bool(false),
        b'"' => Tree::Text(serde_json::from_str(text).ok()?),
        b'[' => {
            let Items(items) = serde_json::from_str(text).ok()?;
            Tree::List(items.iter().map(|item| of(item.get())).collect::<Option<_>>()?)
        }
        b'{' => {
            let Fields(fields) = serde_json::from_str(text).ok()?;
            let mut fields: Vec<(String, Tree)> =
                fields.into_iter().map(|(key, value)| Some((key, of(value.get())?))).collect::<Option<_>>()?;
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Tree::Map(fields)
        }
        _ => Tree::Number(number(text)?),
    })
}

struct Items<'t>(Vec<&'t RawValue>);
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Items<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'t> Visitor<'t> for All {
            type Value = Items<'t>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Items<'t>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = list.next_element()? {
                    all.push(item);
                }
                Ok(Items(all))
            }
        }
        from.deserialize_seq(All)
    }
}

impl<'t> Deserialize<'t> for Fields<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'t> Visitor<'t> for All {
            type Value = Fields<'t>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Fields<'t>, A::Error> {
                let mut all = Vec::new();
                while let Some(field) = map.next_entry()? {
                    all.push(field);
                }
                Ok(Fields(all))
            }
        }
        from.deserialize_map(All)
    }
}

/// A number as Python writes what it reads: integers of any length, and the shortest form of the nearest `f64`.
fn number(text: &str) -> Option<String> {
    if !text.contains(['.', 'e', 'E']) {
        return Some(if text == "-0" { "0".to_owned() } else { text.to_owned() });
    }
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return Some("Infinity".to_owned());
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return Some(if plain.contains('.') { plain } else { plain + ".0" });
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.abs()))
}

impl Tree {
    /// Writes it as Python's `json.dumps` does.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(fields) => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out.push('"');
}

/// What is documented as left out when a body is sent on; `*` is any element of a list.
const LEFT_OUT: &[(Operation, &str)] = &[
    (Operation::Chat, "messages/*/content/*/prompt_cache_breakpoint"),
    (Operation::Chat, "messages/*/content/*/cache_control"),
    (Operation::Chat, "messages/*/content/*/annotations"),
    (Operation::Chat, "messages/*/annotations"),
    (Operation::Chat, "messages/*/parsed"),
    (Operation::Chat, "messages/*/tool_calls/*/index"),
    (Operation::Chat, "messages/*/tool_calls/*/function/parsed_arguments"),
    (Operation::Chat, "messages/*/function_call/parsed_arguments"),
    (Operation::Respond, "store"),
    // The gateway makes the events itself.
    (Operation::Respond, "stream"),
    (Operation::Respond, "stream_options"),
    (Operation::Respond, "input/*/id"),
    (Operation::Respond, "input/*/status"),
    (Operation::Respond, "input/*/caller"),
    (Operation::Respond, "input/*/namespace"),
    (Operation::Respond, "input/*/async"),
    (Operation::Respond, "input/*/parsed_arguments"),
    (Operation::Respond, "input/*/content/*/prompt_cache_breakpoint"),
    (Operation::Respond, "input/*/content/*/annotations"),
    (Operation::Respond, "input/*/content/*/logprobs"),
    (Operation::Respond, "input/*/content/*/parsed"),
    (Operation::Respond, "input/*/output/*/prompt_cache_breakpoint"),
    (Operation::Respond, "input/*/output/*/annotations"),
    (Operation::Respond, "input/*/output/*/logprobs"),
    (Operation::Respond, "input/*/output/*/parsed"),
    (Operation::Respond, "reasoning/context"),
    (Operation::Respond, "reasoning/mode"),
    (Operation::Respond, "tools/*/output_schema"),
    (Operation::Respond, "tools/*/defer_loading"),
    (Operation::Respond, "tools/*/allowed_callers"),
    (Operation::Respond, "tools/*/async"),
    (Operation::Respond, "tools/*/function"),
];

/// What of a document counts: without what is left out, and with elements of `BYTES` in one list, as they are
/// written.
pub(crate) fn normal(operation: Operation, tree: Tree) -> Tree {
    let Tree::Map(mut fields) = tree else { return tree };
    fields.retain(|(_, value)| *value != Tree::Null);
    let paths: Vec<&str> = LEFT_OUT.iter().filter(|(of, _)| *of == operation).map(|(_, path)| *path).collect();
    let mut tree = Tree::Map(fields);
    paths.iter().for_each(|path| leave_out(&mut tree, path));
    if operation != Operation::Infer {
        return tree;
    }
    if let Tree::Map(fields) = &mut tree {
        let inputs = fields.iter_mut().filter(|(key, _)| key == "inputs").map(|(_, list)| list);
        inputs.for_each(|list| {
            if let Tree::List(inputs) = list {
                inputs.iter_mut().for_each(one_list)
            }
        });
    }
    tree
}

fn leave_out(tree: &mut Tree, path: &str) {
    let (step, rest) = path.split_once('/').map_or((path, None), |(step, rest)| (step, Some(rest)));
    match (tree, rest) {
        (Tree::Map(fields), None) => fields.retain(|(key, _)| key != step),
        (Tree::Map(fields), Some(rest)) => {
            fields.iter_mut().filter(|(key, _)| key == step).for_each(|(_, value)| leave_out(value, rest));
        }
        (Tree::List(items), Some(rest)) if step == "*" => items.iter_mut().for_each(|item| leave_out(item, rest)),
        _ => {}
    }
}

/// Takes from schemas what is documented as left out of them and is not in `written`: keywords that are `null`, counts
/// beyond 10,000, and patterns that servers cannot use.
pub(crate) fn prune(tree: &mut Tree, written: &Tree) {
    prune_below(tree, written, "", false);
}

fn prune_below(tree: &mut Tree, written: &Tree, under: &str, is_schema: bool) {
    match (tree, written) {
        (Tree::Map(fields), Tree::Map(written)) => {
            let other = |key: &String| written.iter().find(|(other, _)| other == key).map(|(_, value)| value);
            fields.retain(|(key, value)| other(key).is_some() || !(is_schema && may_go(under, key, value)));
            for (key, value) in fields.iter_mut() {
                let starts = matches!(&**key, "parameters" | "schema" | "json" | "guided_json");
                if let Some(other) = other(key) {
                    prune_below(value, other, key, is_schema || starts);
                }
            }
        }
        (Tree::List(items), Tree::List(written)) => {
            items.iter_mut().zip(written).for_each(|(item, written)| prune_below(item, written, under, is_schema));
        }
        _ => {}
    }
}

fn may_go(under: &str, key: &str, value: &Tree) -> bool {
    match value {
        _ if under == "patternProperties" => true,
        Tree::Text(_) => key == "pattern",
        Tree::Number(number) => {
            let is_count = key.starts_with("min") || key.starts_with("max");
            is_count && number.parse::<f64>().is_ok_and(|count| count > 10_000.0)
        }
        Tree::Null => !matches!(key, "const" | "default" | "example" | "examples"),
        _ => false,
    }
}

/// A tensor without parameters has none, and elements of `BYTES` stand in one list.
fn one_list(tensor: &mut Tree) {
    let Tree::Map(fields) = tensor else { return };
    let is_empty = |value: &Tree| *value == Tree::Null || *value == Tree::Map(Vec::new());
    fields.retain(|(key, value)| !(matches!(&**key, "parameters" | "data") && is_empty(value)));
    let is_bytes = fields.iter().any(|(key, value)| key == "datatype" && *value == Tree::Text("BYTES".to_owned()));
    for (_, data) in fields.iter_mut().filter(|(key, _)| is_bytes && key == "data") {
        let mut all = Vec::new();
        flatten(data, &mut all);
        *data = Tree::List(all);
    }
}

fn flatten(data: &Tree, out: &mut Vec<Tree>) {
    match data {
        Tree::List(items) => items.iter().for_each(|item| flatten(item, out)),
        other => out.push(other.clone()),
    }
}
