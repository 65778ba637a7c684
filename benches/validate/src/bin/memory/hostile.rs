//! Bodies that are as large as the default bounds let them be, with a fault at the end, and some without.

use core_validate::{Head, Operation};

use bench_validate::bodies::infer_head;

/// One body.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// It has no fault.
    pub(crate) is_honest: bool,
}

/// Values of one body, and what is left for the fields around them.
const VALUES: usize = 25_000 - 40;
const STRING: usize = 4 << 20;
const LETTER: &str = "\\u0061";
const USER: &str = r#"{"role":"user","content":"hi"}"#;

pub(crate) fn cases() -> Vec<Case> {
    [values(), strings(), chats(), tensors(), frames(), honest()].into_iter().flatten().collect()
}

fn json(name: &'static str, operation: Operation, body: String) -> Case {
    let head = if operation == Operation::Infer { infer_head(None) } else { Head::default() };
    Case { name, operation, head, body: body.into_bytes(), is_honest: false }
}

fn chat(name: &'static str, more: &str) -> Case {
    json(name, Operation::Chat, format!(r#"{{"model":"m","messages":[{USER}],{more}}}"#))
}

/// So many of them, with commas.
fn many(count: usize, write: impl FnMut(usize) -> String) -> String {
    (0..count).map(write).collect::<Vec<_>>().join(",")
}

/// As many values as there may be, of each kind.
fn values() -> Vec<Case> {
    let list = |name, item: &str| chat(name, &format!(r#""metadata":{{"a":[{}]}}"#, many(VALUES, |_| item.to_owned())));
    let object = |name, key: &dyn Fn(usize) -> String| {
        chat(name, &format!(r#""metadata":{{{}}}"#, many(VALUES, |i| format!("\"{}\":0", key(i)))))
    };
    let escaped = |i: usize| format!("{LETTER}{i}");
    vec![
        list("values: null", "null"),
        list("values: true", "true"),
        list("values: empty strings", "\"\""),
        list("values: escaped strings", "\"\\n\""),
        list("values: empty lists", "[]"),
        list("values: empty objects", "{}"),
        list("values: lists of numbers", "[1,2,3]"),
        list("values: numbers and a word", "1,true"),
        list("values: objects of a field", r#"{"a":0}"#),
        list("values: one too many", "0,\"\",\"\""),
        object("keys: in one object", &|i| i.to_string()),
        object("keys: escaped", &escaped),
        object("keys: long", &|i| format!("{i:0>240}")),
        object("keys: the last twice", &|i| escaped(i.min(VALUES - 2))),
        chat("keys: of a megabyte", &format!("\"{}\":0", "k".repeat(1 << 20))),
        chat("keys: of a megabyte, escaped", &format!("\"{}\":0", LETTER.repeat(1 << 18))),
        chat("depth: full of lists", &{
            let (open, close) = ("[".repeat(60), "]".repeat(60));
            format!(r#""metadata":[{}]"#, many(VALUES / 60, |_| format!("{open}\"\"{close}")))
        }),
        chat("depth: full of objects", &{
            let (open, close) = (r#"{"k":"#.repeat(60), "}".repeat(60));
            format!(r#""metadata":[{}]"#, many(VALUES / 61, |_| format!("{open}0{close}")))
        }),
        json("depth: far too deep", Operation::Chat, "[".repeat(1 << 20)),
        json("depth: far too deep, objects", Operation::Chat, r#"{"a":"#.repeat(1 << 18)),
        json("broken at the end", Operation::Chat, format!("[{}", "{},".repeat(VALUES))),
    ]
}

/// Strings as long as they may be.
fn strings() -> Vec<Case> {
    let escaped = LETTER.repeat(STRING);
    let plain = "a".repeat(STRING);
    let in_chat = |name, text: &str| {
        json(name, Operation::Chat, format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}},0]}}"#))
    };
    let image = |text: &str| {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{text}"}}}}"#);
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#)
    };
    let field = |name, more: &str| chat(name, &format!("{more},\"zz\":0"));
    let mut bad_utf8 = json("string: not UTF-8 at its end", Operation::Chat, format!("\"{plain}"));
    bad_utf8.body.push(0xff);
    let sixth = LETTER.repeat(STRING / 6);
    vec![
        in_chat("string: plain, then a fault", &plain),
        in_chat("string: all escapes, then a fault", &escaped),
        in_chat("string: all escapes, a sixth as long", &sixth),
        in_chat("string: too long", &format!("{plain}a")),
        in_chat("string: too long, all escapes", &LETTER.repeat(STRING + 1)),
        bad_utf8,
        json("string: the model", Operation::Chat, format!(r#"{{"model":"{escaped}","messages":[{USER}]}}"#)),
        json("string: a role", Operation::Chat, format!(r#"{{"model":"m","messages":[{{"role":"{escaped}"}}]}}"#)),
        json("string: a kind of part", Operation::Chat, {
            let part = format!(r#"{{"type":"{escaped}"}}"#);
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#)
        }),
        json("string: a kind of item", Operation::Respond, {
            format!(r#"{{"model":"m","input":[{{"type":"{escaped}","role":"user"}}]}}"#)
        }),
        json("string: the role of an item", Operation::Respond, {
            format!(r#"{{"model":"m","input":[{{"role":"{escaped}","content":"a"}}]}}"#)
        }),
        json("string: an image, escaped, no base64", Operation::Chat, image(&escaped)),
        json("string: an image, every slash escaped", Operation::Chat, image(&"\\/".repeat(STRING / 2))),
        json("string: a prompt of a list", Operation::Complete, format!(r#"{{"model":"m","prompt":["{escaped}",0]}}"#)),
        json("string: texts to embed", Operation::Embed, {
            let texts = many(2_047, |_| format!("\"{}\"", LETTER.repeat(4_000)));
            format!(r#"{{"model":"m","input":[{texts},""]}}"#)
        }),
        field("string: a word of effort", &format!(r#""reasoning_effort":"{escaped}""#)),
        field("string: a choice of tools", &format!(r#""tool_choice":{{"type":"{escaped}"}}"#)),
        field("string: a name of a tool", &{
            let tool = format!(r#"{{"type":"function","function":{{"name":"{escaped}"}}}}"#);
            format!(r#""tools":[{tool}],"tool_choice":{{"type":"function","function":{{"name":"x"}}}}"#)
        }),
        field("string: the user", &format!(r#""user":"{escaped}""#)),
        json("string: an id of tensors", Operation::Infer, format!(r#"{{"id":"{escaped}","inputs":[]}}"#)),
        json("string: a name of a tensor", Operation::Infer, {
            format!(r#"{{"inputs":[{{"name":"{escaped}","shape":[1],"datatype":"FP32","data":[1]}}]}}"#)
        }),
        json("string: a type of a tensor", Operation::Infer, {
            format!(r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"{escaped}","data":[1]}}]}}"#)
        }),
    ]
}

/// Messages, tools, schemas, patterns, token numbers.
fn chats() -> Vec<Case> {
    let messages = |name, count| {
        let message = format!(r#"{{"role":"user","content":"{LETTER}"}}"#);
        json(name, Operation::Chat, format!(r#"{{"model":"m","messages":[{},0]}}"#, many(count, |_| message.clone())))
    };
    let tools = |name, count, schema: &str| {
        let tool = |i| {
            format!(r#"{{"type":"function","function":{{"name":"f{i}","parameters":{{"properties":{{{schema}}}}}}}}}"#)
        };
        chat(name, &format!(r#""tools":[{}],"zz":0"#, many(count, tool)))
    };
    // Each leads to the last, by as many steps as there may be.
    let references = |i: usize| match i {
        1_585.. => format!(r##""a{i}":{{"$ref":"#/properties/a{}"}}"##, i + 1),
        _ => format!(r##""a{i}":{{"$ref":"#/properties/a1585"}}"##),
    };
    let references = |i| if i == 1_599 { r#""a1599":{"type":"null"}"#.to_owned() } else { references(i) };
    let calls = |count| {
        // The one that is answered is the last.
        let call = |i| {
            let id = if i == count - 1 { "c" } else { "b" };
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":""}}}}"#)
        };
        let asks = format!(r#"{{"role":"assistant","tool_calls":[{}]}}"#, many(count, call));
        let unknown = r#"{"role":"tool","tool_call_id":"d","content":""}"#;
        let known = unknown.replace("\"d\"", "\"c\"");
        let others = asks.replace("\"c\"", "\"b\"");
        let (asks, tells) = (format!("{},{asks}", many(9, |_| others.clone())), many(900, |_| known.clone()));
        format!(r#"{{"model":"m","messages":[{asks},{tells},{unknown}]}}"#)
    };
    let patterns = |name, each: usize, pattern: &str| {
        tools(name, 12, &many(each, |i| format!(r#""p{i}":{{"pattern":"{pattern}"}}"#)))
    };
    let tokens = many(1_000_000, |i| i.to_string());
    vec![
        messages("messages: 1,024 and a fault", 1_023),
        messages("messages: too many", 6_000),
        json("calls: many, and many answers", Operation::Chat, calls(250)),
        tools("schemas: of references", 4, &many(1_600, references)),
        tools("schemas: of 4,900 values", 5, &many(2_450, |i| format!(r#""p{i}":{{"type":"string"}}"#))),
        tools("schemas: of 5,100 values", 4, &many(2_550, |i| format!(r#""p{i}":{{"type":"string"}}"#))),
        tools("schemas: of a hundred tools", 100, &many(80, |i| format!(r#""p{i}":{{"type":"string"}}"#))),
        tools(
            "schemas: too deep",
            1,
            &format!(r#""a":{}{}"#, r#"{"not":"#.repeat(55), "0".to_owned() + &"}".repeat(55)),
        ),
        patterns("patterns: short", 600, "^[0-9a-f]{1,8}$"),
        patterns("patterns: large when compiled", 60, "(?:[a-y]{40}|[0-9]{40}){20}"),
        patterns("patterns: too large when compiled", 60, "(?:[a-y]{400}|[0-9]{400}){200}"),
        patterns("patterns: repeated repeats", 60, "(((((a{9}){9}){9}){9}){9}){9}"),
        patterns("patterns: a thousand choices", 60, &"a|".repeat(500)),
        patterns("patterns: many classes", 60, &"[a-ce-gi-km-o]".repeat(70)),
        patterns("patterns: nested groups", 60, &format!("{}a{}", "(".repeat(60), ")".repeat(60))),
        patterns("patterns: too long", 4, &"a".repeat(1_025)),
        patterns("patterns: counted classes of every byte", 60, "[^a]{900}"),
        patterns("patterns: words, counted", 60, "(\\\\w{1,40}\\\\W{1,40}){1,12}"),
        chat("tokens: a bias of too many", &format!(r#""logit_bias":{{{}}}"#, many(10_000, |i| format!("\"{i}\":1")))),
        json("tokens: a prompt of a million", Operation::Complete, format!(r#"{{"model":"m","prompt":[{tokens}]}}"#)),
        json("tokens: prompts of lists", Operation::Embed, {
            format!(r#"{{"model":"m","input":[{}]}}"#, many(VALUES, |_| "[1,2]".to_owned()))
        }),
        json("items: 1,024 and a fault", Operation::Respond, {
            let item = format!(r#"{{"role":"user","content":"{LETTER}"}}"#);
            format!(r#"{{"model":"m","input":[{},0]}}"#, many(1_023, |_| item.clone()))
        }),
        json("parts: as many as there are values", Operation::Chat, {
            let parts = many(VALUES / 3, |_| r#"{"type":"text","text":"a"}"#.to_owned());
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}},0]}}"#)
        }),
        json("echoes: dropped fields", Operation::Chat, {
            let part = r#"{"type":"text","text":"a","annotations":0,"cache_control":0}"#;
            let parts = many(VALUES / 5, |_| part.to_owned());
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}},0]}}"#)
        }),
    ]
}

fn tensor(i: usize, dtype: &str, shape: &str, data: &str) -> String {
    format!(r#"{{"name":"x{i}","shape":{shape},"datatype":"{dtype}","data":{data}}}"#)
}

/// Tensors in JSON.
fn tensors() -> Vec<Case> {
    let all = |name, tensors: String| json(name, Operation::Infer, format!(r#"{{"inputs":[{tensors}],"zz":0}}"#));
    let empty = format!("[{}]", many(VALUES, |_| "\"\"".to_owned()));
    let escaped = format!("[{}]", many(VALUES, |_| "\"\\n\"".to_owned()));
    let shape = format!("[{VALUES}]");
    let numbers = format!("[{}]", many(1_000_000, |i| i.to_string()));
    let late = |data: &str| format!(r#"{{"data":{data},"name":"x","shape":{shape},"datatype":"BYTES"}}"#);
    vec![
        all("tensor: shape [2^60] in 100 bytes", tensor(0, "FP32", "[1152921504606846976]", "[1]")),
        all("tensor: shape [2^60] of texts", tensor(0, "BYTES", "[1152921504606846976]", "[\"\"]")),
        all("tensor: as many elements as may be, one there", tensor(0, "FP32", "[4194304]", "[1]")),
        all("tensor: as many texts as may be, one there", tensor(0, "BYTES", "[25000]", "[\"\"]")),
        all("tensor: a million numbers", tensor(0, "INT64", "[1000000]", &numbers)),
        all("tensor: a million numbers, one off", tensor(0, "INT64", "[1000001]", &numbers)),
        all("tensor: texts", tensor(0, "BYTES", &shape, &empty)),
        all("tensor: texts with escapes", tensor(0, "BYTES", &shape, &escaped)),
        all("tensor: texts before their shape", late(&empty)),
        all("tensor: 64 of texts", many(64, |i| tensor(i, "BYTES", &shape, &empty))),
        all("tensor: 64 of texts and no room for more", many(64, |i| tensor(i, "BYTES", "[25000]", &empty))),
        all("tensor: 6,000", many(6_000, |i| tensor(i, "FP32", "[1]", "[1]"))),
        all("tensor: 6,000 of texts", many(6_000, |i| tensor(i, "BYTES", "[4]", r#"["","","",""]"#))),
        all("tensor: a text of 4 MiB, escaped", tensor(0, "BYTES", "[1]", &format!("[\"{}\"]", LETTER.repeat(STRING)))),
        json("tensor: outputs", Operation::Infer, {
            let outputs = many(64, |i| format!(r#"{{"name":"{i:0>120}","parameters":{{"classification":1}}}}"#));
            format!(r#"{{"outputs":[{outputs}],"inputs":[{}]}}"#, tensor(0, "FP32", "[1]", "[]"))
        }),
    ]
}

/// Tensors in the binary form.
fn frames() -> Vec<Case> {
    let framed = |name, tensors: usize, count: usize, shape: &str, tail: Vec<u8>| {
        let size = tail.len() / tensors.max(1);
        let list = many(tensors, |i| {
            format!(
                r#"{{"name":"x{i}","shape":{shape},"datatype":"BYTES","parameters":{{"binary_data_size":{size}}}}}"#
            )
        });
        let mut body = format!(r#"{{"inputs":[{list}]}}"#).into_bytes();
        let head = infer_head(Some(body.len()));
        body.extend(tail);
        Case { name, operation: Operation::Infer, head, body, is_honest: count == 0 }
    };
    let shape = format!("[{VALUES}]");
    let mut stray = vec![0; VALUES * 4];
    stray.push(1);
    vec![
        framed("frames: empty, then a stray byte", 1, 1, &shape, stray),
        framed("frames: one too many", 1, 1, &shape, vec![0; (VALUES + 1) * 4]),
        framed("frames: 64 tensors, one frame too many", 64, 1, &shape, vec![0; (VALUES * 64 + 64) * 4]),
        framed("frames: 64 tensors, the last misses one", 64, 1, &shape, {
            let mut tail = vec![0; VALUES * 64 * 4];
            tail.truncate(tail.len() - 64 * 4);
            tail.extend([0xff; 64 * 4]);
            tail
        }),
        framed("frames: of 4 GiB", 1, 1, &shape, vec![0xff; VALUES * 4]),
        framed("frames: shape [2^60]", 1, 1, "[1152921504606846976]", vec![0; 400]),
    ]
}

/// What is accepted, to be looked at.
fn honest() -> Vec<Case> {
    let honest = |case: Case| Case { is_honest: true, ..case };
    let escaped = LETTER.repeat(STRING);
    let empty = format!("[{}]", many(VALUES, |_| "\"\"".to_owned()));
    let shape = format!("[{VALUES}]");
    let parts = many(VALUES / 3, |_| r#"{"type":"text","text":"a"}"#.to_owned());
    vec![
        honest(chat("accepted: the smallest chat", r#""user":"u""#)),
        honest(json("accepted: a chat of one text, all escapes", Operation::Chat, {
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{escaped}"}}]}}"#)
        })),
        honest(json("accepted: a chat of as many parts as may be", Operation::Chat, {
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#)
        })),
        honest(json("accepted: a tensor of texts", Operation::Infer, {
            format!(r#"{{"inputs":[{}]}}"#, tensor(0, "BYTES", &shape, &empty))
        })),
    ]
}
