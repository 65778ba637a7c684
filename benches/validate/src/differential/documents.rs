//! Requests of every operation, made up.

use bench_validate::measure::Random;
use core_validate::Operation;

use crate::differential::write::{Doc, Style, write};
use crate::differential::{Asked, mutate, tensors};

/// A request, most often sound.
pub(crate) fn any(random: &mut Random) -> Asked {
    let operations =
        [Operation::Chat, Operation::Chat, Operation::Complete, Operation::Embed, Operation::Respond, Operation::Infer];
    let operation = random.of(&operations).copied().unwrap_or(Operation::Chat);
    let mut tail = Vec::new();
    let mut doc = match operation {
        Operation::Chat => chat(random),
        Operation::Complete => complete(random),
        Operation::Respond => respond(random),
        Operation::Infer => tensors::request(random, &mut tail),
        _ => embed(random),
    };
    let fault = random.unit();
    if fault < 0.35 {
        mutate::document(&mut doc, random);
    }
    let mut body = Vec::new();
    write(&doc, Style::any(random), random, &mut body);
    if (0.3..0.55).contains(&fault) {
        mutate::bytes(&mut body, random);
    }
    body.extend(&tail);
    Asked { operation, body, tail: tail.len() }
}

/// A word that the API knows somewhere, or another key.
pub(crate) fn key(random: &mut Random) -> String {
    let keys = [
        "model",
        "user",
        "n",
        "stream",
        "name",
        "content",
        "type",
        "id",
        "data",
        "shape",
        "store",
        "index",
        "annotations",
        "parsed",
        "status",
        "anything",
        "chat_template",
        "prompt",
        "input",
        "parameters",
        "",
        "a b",
        "\u{e9}",
        "__proto__",
    ];
    random.of(&keys).copied().unwrap_or_default().to_owned()
}

/// A text with whatever a text may hold.
pub(crate) fn text(random: &mut Random) -> String {
    const LETTERS: &[char] = &[
        'a',
        'b',
        'Z',
        '0',
        '9',
        ' ',
        ' ',
        'e',
        'n',
        '.',
        '-',
        '/',
        '"',
        '\\',
        '\n',
        '\t',
        '\r',
        '\u{8}',
        '\u{c}',
        '\0',
        '\u{1f}',
        '\u{7f}',
        'ä',
        'ß',
        '中',
        '\u{2028}',
        '\u{feff}',
        '\u{fffd}',
        '\u{ffff}',
        '😀',
        '\u{10ffff}',
        '<',
        '{',
        '[',
    ];
    let most = random.of(&[1, 4, 12, 60]).copied().unwrap_or(1);
    (0..1 + random.below(most)).filter_map(|_| random.of(LETTERS)).collect()
}

/// A name that fits most places.
pub(crate) fn name(random: &mut Random) -> String {
    random.of(&["f", "look_up", "a-b", "x.y", "input_1", "m"]).copied().unwrap_or_default().to_owned()
}

/// A number in any form.
pub(crate) fn number(random: &mut Random) -> String {
    match random.below(9) {
        0 => (random.draw() as i8).to_string(),
        1 => (random.draw() as i64).to_string(),
        2 => random.draw().to_string(),
        3 => random.unit().to_string(),
        4 => f64::from_bits(random.draw()).to_string().replace("NaN", "-0").replace("inf", "0.0"),
        5 => format!("{:e}", (random.unit() - 0.5) * 1e9),
        6 => format!("{}E+{}", random.below(100), random.below(30)),
        7 => format!("-{}.{}e-{:02}", random.below(10), random.draw(), random.below(400)),
        _ => {
            let edges = [
                "-0",
                "-0.0",
                "0e0",
                "1e308",
                "5e-324",
                "2e-324",
                "9007199254740993",
                "18446744073709551615",
                "-9223372036854775808",
            ];
            random.of(&edges).copied().unwrap_or("0").to_owned()
        }
    }
}

/// Any value.
pub(crate) fn anything(random: &mut Random, depth: usize) -> Doc {
    match random.below(if depth == 0 { 6 } else { 9 }) {
        0 => Doc::Null,
        1 => Doc::Bool(random.is(0.5)),
        2 => Doc::Number(number(random)),
        3 | 4 => Doc::Text(text(random)),
        5 => {
            let raws = [
                "NaN",
                "-Infinity",
                "01",
                "1.",
                "+1",
                ".5",
                "0x10",
                "1e400",
                "\"\\ud800\"",
                "tru",
                "[1,]",
                "{,}",
                "\"\t\"",
                "'a'",
            ];
            match random.is(0.3) {
                true => Doc::Raw(random.of(&raws).copied().unwrap_or_default().to_owned()),
                false => Doc::int(random.below(3) as i64),
            }
        }
        6 if random.is(0.05) => {
            let deep = random.of(&[30, 62, 63, 64, 65, 130]).copied().unwrap_or_default();
            (0..deep)
                .fold(Doc::int(1), |doc, _| if random.is(0.5) { Doc::List(vec![doc]) } else { Doc::map([("a", doc)]) })
        }
        6 => Doc::List((0..random.below(4)).map(|_| anything(random, depth - 1)).collect()),
        7 => Doc::List((0..random.below(5)).map(|_| Doc::Number(number(random))).collect()),
        _ => Doc::Map(
            (0..random.below(4)).map(|i| (format!("{}{i}", key(random)), anything(random, depth - 1))).collect(),
        ),
    }
}

/// Adds some of these fields.
fn some(fields: &mut Vec<(String, Doc)>, random: &mut Random, choices: Vec<(&str, Doc)>) {
    for (key, value) in choices {
        if random.is(0.12) {
            fields.push((key.to_owned(), if random.is(0.1) { Doc::Null } else { value }));
        }
    }
}

fn fraction(random: &mut Random) -> Doc {
    Doc::Number(
        random
            .of(&["0", "1", "0.7", "1.0", "5e-1", "0.30000000000000004", "1E0", "0.1e1", "-0.0"])
            .copied()
            .unwrap_or("0")
            .to_owned(),
    )
}

fn writing(random: &mut Random) -> Vec<(String, Doc)> {
    let mut fields = vec![("model".to_owned(), Doc::Text(name(random)))];
    let choices = vec![
        ("temperature", fraction(random)),
        ("top_p", fraction(random)),
        ("top_k", Doc::int(random.below(50) as i64)),
        ("user", Doc::Text(text(random))),
        (
            "metadata",
            Doc::Map((0..random.below(3)).map(|i| (format!("{}{i}", text(random)), Doc::Text(text(random)))).collect()),
        ),
        ("service_tier", Doc::text("auto")),
        ("store", Doc::Bool(false)),
        ("min_p", fraction(random)),
        ("min_tokens", Doc::int(2)),
        ("anything", anything(random, 3)),
    ];
    some(&mut fields, random, choices);
    fields
}

fn sampling(random: &mut Random) -> Vec<(String, Doc)> {
    let mut fields = writing(random);
    let texts = |random: &mut Random| Doc::List((0..1 + random.below(3)).map(|_| Doc::Text(text(random))).collect());
    let choices = vec![
        ("presence_penalty", fraction(random)),
        ("frequency_penalty", fraction(random)),
        ("seed", Doc::Number((random.draw() as i64).to_string())),
        ("stop", if random.is(0.5) { Doc::Text(text(random)) } else { texts(random) }),
        ("max_tokens", Doc::int(1 + random.below(1_000) as i64)),
        ("logit_bias", Doc::map([("17", Doc::Number("-1.5".to_owned())), ("9", Doc::int(100))])),
        ("n", Doc::int(1 + random.below(9) as i64)),
        ("bad_words", texts(random)),
    ];
    some(&mut fields, random, choices);
    if random.is(0.2) {
        fields.push(("stream".to_owned(), Doc::Bool(true)));
        fields.push(("stream_options".to_owned(), Doc::map([("include_usage", Doc::Bool(random.is(0.5)))])));
    }
    fields
}

fn complete(random: &mut Random) -> Doc {
    let mut fields = sampling(random);
    let choices = vec![
        ("echo", Doc::Bool(true)),
        ("suffix", Doc::Text(text(random))),
        ("logprobs", Doc::int(random.below(6) as i64)),
        ("best_of", Doc::int(1 + random.below(8) as i64)),
    ];
    some(&mut fields, random, choices);
    fields.push(("prompt".to_owned(), prompt(random)));
    Doc::Map(fields)
}

fn embed(random: &mut Random) -> Doc {
    let mut fields = vec![("model".to_owned(), Doc::Text(name(random))), ("input".to_owned(), prompt(random))];
    let choices = vec![
        ("encoding_format", Doc::text("base64")),
        ("dimensions", Doc::int(256)),
        ("user", Doc::Text(text(random))),
        ("anything", anything(random, 3)),
    ];
    some(&mut fields, random, choices);
    Doc::Map(fields)
}

fn prompt(random: &mut Random) -> Doc {
    let tokens = |random: &mut Random| {
        Doc::List((0..1 + random.below(5)).map(|_| Doc::int(random.below(50_000) as i64)).collect())
    };
    match random.below(6) {
        0 => tokens(random),
        1 => Doc::List((0..1 + random.below(3)).map(|_| tokens(random)).collect()),
        2 | 3 => Doc::List((0..1 + random.below(4)).map(|_| Doc::Text(text(random))).collect()),
        _ => Doc::Text(text(random)),
    }
}

fn chat(random: &mut Random) -> Doc {
    let mut fields = sampling(random);
    let function = |random: &mut Random| {
        let mut function = vec![("name".to_owned(), Doc::Text(name(random)))];
        let choices = vec![
            ("description", Doc::Text(text(random))),
            ("parameters", schema(random, 3)),
            ("strict", Doc::Bool(true)),
        ];
        choices.into_iter().for_each(|(key, value)| {
            if random.is(0.6) {
                function.push((key.to_owned(), value))
            }
        });
        Doc::Map(function)
    };
    let tools = (0..1 + random.below(3))
        .map(|_| Doc::map([("type", Doc::text("function")), ("function", function(random))]))
        .collect();
    let format = Doc::map([("name", Doc::text("n")), ("schema", schema(random, 3)), ("strict", Doc::Bool(true))]);
    let choices = vec![
        ("tools", Doc::List(tools)),
        ("response_format", Doc::map([("type", Doc::text("json_schema")), ("json_schema", format)])),
        ("logprobs", Doc::Bool(true)),
        ("max_completion_tokens", Doc::int(64)),
        ("parallel_tool_calls", Doc::Bool(false)),
        ("prediction", Doc::map([("type", Doc::text("content")), ("content", Doc::Text(text(random)))])),
        ("reasoning_effort", Doc::text("low")),
        ("chat_template_kwargs", Doc::map([("enable_thinking", Doc::Bool(false))])),
        ("modalities", Doc::List(vec![Doc::text("text")])),
    ];
    some(&mut fields, random, choices);
    let messages = (0..1 + random.below(4)).map(|_| message(random)).collect();
    fields.insert(random.below(fields.len() + 1), ("messages".to_owned(), Doc::List(messages)));
    Doc::Map(fields)
}

fn message(random: &mut Random) -> Doc {
    let role = random.of(&["user", "user", "system", "developer", "assistant"]).copied().unwrap_or_default();
    let content = match random.below(3) {
        0 => Doc::List((0..1 + random.below(3)).map(|_| part(random, role)).collect()),
        _ => Doc::Text(text(random)),
    };
    let mut fields = vec![("role".to_owned(), Doc::text(role)), ("content".to_owned(), content)];
    let choices = vec![("name", Doc::Text(name(random)))];
    some(&mut fields, random, choices);
    if role == "assistant" {
        let call = Doc::map([
            ("id", Doc::text("call_1")),
            ("type", Doc::text("function")),
            ("index", anything(random, 1)),
            (
                "function",
                Doc::map([
                    ("name", Doc::text("f")),
                    ("arguments", Doc::text("{\"a\": 1.0}")),
                    ("parsed_arguments", anything(random, 2)),
                ]),
            ),
        ]);
        let choices = vec![
            ("tool_calls", Doc::List(vec![call])),
            ("refusal", Doc::Null),
            ("annotations", anything(random, 2)),
            ("parsed", anything(random, 2)),
            ("reasoning_content", Doc::Text(text(random))),
        ];
        some(&mut fields, random, choices);
    }
    Doc::Map(fields)
}

fn part(random: &mut Random, role: &str) -> Doc {
    let image = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAAAg";
    let mut fields = match random.below(3) {
        0 if role == "user" => vec![
            ("type", Doc::text("image_url")),
            ("image_url", Doc::map([("url", Doc::text(image)), ("detail", Doc::text("low"))])),
        ],
        _ => vec![("type", Doc::text("text")), ("text", Doc::Text(text(random)))],
    };
    if random.is(0.1) {
        fields.push(("annotations", anything(random, 2)));
        fields.push(("cache_control", anything(random, 1)));
    }
    Doc::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A JSON schema.
fn schema(random: &mut Random, depth: usize) -> Doc {
    let kinds = ["string", "number", "integer", "boolean", "object", "array", "null"];
    let kind = random.of(&kinds).copied().unwrap_or_default();
    let mut fields = vec![("type".to_owned(), Doc::text(kind))];
    let choices = vec![
        ("description", Doc::Text(text(random))),
        ("pattern", Doc::text("^[a-z]{1,4}(?:x|y)*$")),
        ("enum", Doc::List((0..3).map(|_| anything(random, 1)).collect())),
        ("default", anything(random, 2)),
        ("minimum", Doc::Number(number(random))),
        ("additionalProperties", Doc::Bool(false)),
    ];
    some(&mut fields, random, choices);
    if depth > 0 && kind == "object" {
        let properties =
            (0..random.below(4)).map(|i| (format!("{}{i}", text(random)), schema(random, depth - 1))).collect();
        fields.push(("properties".to_owned(), Doc::Map(properties)));
    }
    if depth > 0 && kind == "array" {
        fields.push(("items".to_owned(), schema(random, depth - 1)));
    }
    Doc::Map(fields)
}

fn respond(random: &mut Random) -> Doc {
    let mut fields = writing(random);
    let tool = Doc::map([
        ("type", Doc::text("function")),
        ("name", Doc::Text(name(random))),
        ("parameters", schema(random, 3)),
        ("strict", Doc::Bool(true)),
        ("defer_loading", anything(random, 1)),
        ("output_schema", anything(random, 2)),
    ]);
    let format =
        Doc::map([("type", Doc::text("json_schema")), ("name", Doc::text("n")), ("schema", schema(random, 2))]);
    let choices = vec![
        ("instructions", Doc::Text(text(random))),
        ("max_output_tokens", Doc::int(100)),
        (
            "reasoning",
            Doc::map([("effort", Doc::text("low")), ("context", anything(random, 1)), ("mode", anything(random, 1))]),
        ),
        ("text", Doc::map([("format", format)])),
        ("tools", Doc::List(vec![tool])),
        ("truncation", Doc::text("auto")),
        ("stream", Doc::Bool(true)),
        ("previous_response_id", Doc::text("resp_1")),
    ];
    some(&mut fields, random, choices);
    let input = match random.below(3) {
        0 => Doc::Text(text(random)),
        _ => Doc::List((0..1 + random.below(4)).map(|_| item(random)).collect()),
    };
    fields.push(("input".to_owned(), input));
    Doc::Map(fields)
}

fn item(random: &mut Random) -> Doc {
    let call = |kind: &str, more: (&str, Doc)| {
        vec![("type".to_owned(), Doc::text(kind)), ("call_id".to_owned(), Doc::text("c")), (more.0.to_owned(), more.1)]
    };
    let mut fields = match random.below(5) {
        0 => {
            let mut call = call("function_call", ("arguments", Doc::Text(text(random))));
            call.push(("name".to_owned(), Doc::text("f")));
            call
        }
        1 => call("function_call_output", ("output", Doc::Text(text(random)))),
        _ => {
            let role = random.of(&["user", "system", "assistant"]).copied().unwrap_or_default();
            let kind = if role == "assistant" { "output_text" } else { "input_text" };
            let mut part = vec![("type".to_owned(), Doc::text(kind)), ("text".to_owned(), Doc::Text(text(random)))];
            let choices =
                vec![("annotations", anything(random, 2)), ("logprobs", anything(random, 2)), ("parsed", Doc::Null)];
            some(&mut part, random, choices);
            let content = if random.is(0.5) { Doc::Text(text(random)) } else { Doc::List(vec![Doc::Map(part)]) };
            vec![("role".to_owned(), Doc::text(role)), ("content".to_owned(), content)]
        }
    };
    let choices =
        vec![("id", anything(random, 1)), ("status", anything(random, 1)), ("phase", Doc::text("commentary"))];
    some(&mut fields, random, choices);
    Doc::Map(fields)
}
