//! Anthropic's Messages API, as requests and as answers.

use super::{read, refused};
use bytes::Bytes;
use core_validate::InvalidCode::*;
use core_validate::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A picture of 64 x 32.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAEAAAAAg";

fn with(more: &Value) -> Value {
    let mut asked = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asked
}

fn ask(more: &Value) -> Result<InferenceRequest, Invalid> {
    read(Operation::Message, &with(more).to_string())
}

fn under(limits: Limits, more: &Value) -> Result<InferenceRequest, Invalid> {
    let body = Bytes::from(with(more).to_string());
    Validator::new(limits).parse(Operation::Message, &Head::default(), &body)
}

fn says(role: &str, blocks: Value) -> Value {
    json!({"messages": [{"role": role, "content": blocks}]})
}

fn round_trip() -> Value {
    json!({
        "system": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "look", "description": "looks", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u"}, "temperature": 1, "top_k": 5, "stop_sequences": ["END"], "stream": true,
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "a "}, {"type": "text", "text": "b", "citations": null},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a thing": ["deep"], "n": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": false,
                 "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}]},
        ],
    })
}

#[test]
fn every_text_has_its_origin() {
    let request = ask(&round_trip()).unwrap();
    let texts: Vec<(String, Origin, String)> = request
        .texts()
        .map(|text| (text.text().into_owned(), text.origin(), text.pointer().as_str().to_owned()))
        .collect();
    for (text, origin, at) in [
        ("kind", Origin::System, "/system/1/text"),
        ("looks", Origin::ToolDescription, "/tools/0/description"),
        ("b", Origin::User, "/messages/0/content/1/text"),
        ("hm", Origin::Assistant, "/messages/1/content/0/thinking"),
        ("c2ln", Origin::Assistant, "/messages/1/content/0/signature"),
        ("b3BhcXVl", Origin::Assistant, "/messages/1/content/1/data"),
        ("deep", Origin::Assistant, "/messages/1/content/2/input/?/0"),
        ("two", Origin::ToolResult, "/messages/2/content/0/content/1/text"),
        ("u", Origin::Other, "/metadata/user_id"),
        ("END", Origin::Other, "/stop_sequences/0"),
    ] {
        assert!(texts.contains(&(text.to_owned(), origin, at.to_owned())), "{text} {at} in {texts:?}");
    }
    assert!(texts.iter().any(|(text, origin, _)| text == "a thing" && *origin == Origin::Assistant), "a key is read");
    let joined = request.joined_texts();
    for (text, origin) in [("be kind", Origin::System), ("a b", Origin::User), ("one two", Origin::ToolResult)] {
        assert!(joined.iter().any(|(_, own, whole)| (*own, whole.as_str()) == (origin, text)), "{text}");
    }
    assert!(request.has_other_than_text());
    assert_eq!((request.max_output_tokens(), request.is_stream(), request.wants_events()), (Some(9), false, true));
    assert_eq!(request.schemas().count(), 1, "a tool that must be called");
}

#[test]
fn what_goes_on_is_what_was_read_but_for_what_no_server_needs() {
    let request = ask(&round_trip()).unwrap();
    let sent: Value = serde_json::from_slice(&request.to_body().bytes).unwrap();
    let mut expected = with(&round_trip());
    expected["stream"] = json!(false);
    expected["system"][1].as_object_mut().unwrap().remove("cache_control");
    expected["messages"][0]["content"][1].as_object_mut().unwrap().remove("citations");
    assert_eq!(sent, expected);
    let mut request = ask(&json!({"max_tokens": 100})).unwrap();
    request.clamp_output(7);
    let sent: Value = serde_json::from_slice(&request.to_body().bytes).unwrap();
    assert_eq!(sent["max_tokens"], 7);
}

#[test]
fn fields_are_known_and_within_bounds() {
    let kind = "this kind of content is not accepted";
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    for (more, code, at, message) in [
        (json!({"max_tokens": null}), MissingField, "/max_tokens", "field is required"),
        (json!({"max_tokens": 0}), OutOfRange, "/max_tokens", "expected a value from 1 to 16777216"),
        (
            json!({"max_tokens": 2_000_000}),
            OutOfRange,
            "/max_tokens",
            "2000000 tokens in all answers exceed maximum 1048576",
        ),
        (json!({"temperature": 1.5}), OutOfRange, "/temperature", "expected a value from 0 to 1"),
        (
            json!({"odd": 1}),
            UnknownField,
            "/odd",
            "field odd is not accepted (an operator can list it under allow_fields of the model)",
        ),
        (json!({"n": 2}), UnknownField, "/n", "field n is not accepted here"),
        (
            json!({"mcp_servers": [{"url": "https://a.b"}]}),
            UnsupportedContent,
            "/mcp_servers",
            "servers of tools elsewhere are not asked",
        ),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            OutOfRange,
            "/tools/0/type",
            "expected one of custom",
        ),
        (json!({"tools": [{"name": "f"}]}), MissingField, "/tools/0/input_schema", "field is required"),
        (json!({"tools": [tool, tool]}), ConflictingFields, "/tools/1", "two tools have the same name"),
        (json!({"tool_choice": {"type": "any"}}), ConflictingFields, "/tool_choice", "tool_choice needs tools"),
        (
            json!({"tools": [tool], "tool_choice": {"type": "tool", "name": "g"}}),
            ConflictingFields,
            "/tool_choice",
            "tool_choice names no tool of the request",
        ),
        (json!({"tool_choice": "auto"}), WrongType, "/tool_choice", "expected an object"),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "magic"}}]}),
            OutOfRange,
            "/tools/0/input_schema/type",
            "not a type of JSON schema",
        ),
        (json!({"system": [{"type": "image"}]}), UnsupportedContent, "/system/0/type", kind),
        (json!({"thinking": {"type": "enabled"}}), MissingField, "/thinking/budget_tokens", "field is required"),
        (json!({"metadata": {"other": "a"}}), UnknownField, "/metadata/other", "field other is not accepted here"),
        (json!({"messages": []}), EmptyInput, "/messages", "input is empty"),
        (json!({"messages": [1, 2]}), WrongType, "/messages/0", "expected an object"),
        (json!({"messages": "hi"}), WrongType, "/messages", "expected a list of messages"),
        (
            json!({"messages": [{"role": "system", "content": "a"}]}),
            UnsupportedContent,
            "/messages/0/role",
            "expected user or assistant",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a", "name": "b"}]}),
            UnknownField,
            "/messages/0/name",
            "field name is not accepted here",
        ),
    ] {
        refused(ask(&more), code, at, message);
    }
    for more in [
        json!({"tools": [tool], "tool_choice": {"type": "any"}}),
        json!({"tools": [], "tool_choice": {"type": "auto"}}),
        json!({"tool_choice": {"type": "none"}}),
        json!({"system": "be kind", "thinking": {"type": "disabled"}, "cache_control": {"type": "ephemeral"}}),
        json!({"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}}),
    ] {
        assert!(ask(&more).is_ok(), "{more}");
    }
    assert!(ask(&json!({"ignore_eos": true})).is_err());
    assert!(under(Limits::default().extensions([Extensions::Vllm]), &json!({"ignore_eos": true})).is_ok());
}

#[test]
fn blocks_are_of_who_says_them() {
    let kind = "this kind of content is not accepted";
    let at = "/messages/0/content/0/type";
    let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {}});
    refused(ask(&says("user", json!([call]))), UnsupportedContent, at, kind);
    let thought = json!({"type": "thinking", "thinking": "hm"});
    refused(ask(&says("user", json!([thought]))), UnsupportedContent, at, kind);
    let result = json!({"type": "tool_result", "tool_use_id": "a", "content": "b"});
    refused(ask(&says("assistant", json!([result]))), UnsupportedContent, at, kind);
    let lost = ask(&says("user", json!([result])));
    let message = "no tool call before has this id";
    refused(lost, ConflictingFields, "/messages/0/content/0/tool_use_id", message);
    let search = json!({"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}});
    refused(ask(&says("assistant", json!([search]))), UnsupportedContent, at, kind);
    refused(ask(&says("user", json!([]))), EmptyInput, "/messages/0/content", "input is empty");
    let text = json!({"type": "tool_use", "id": "a", "name": "f", "input": "{}"});
    refused(ask(&says("assistant", json!([text]))), WrongType, "/messages/0/content/0/input", "expected an object");
    let odd = json!({"type": "thinking", "thinking": "hm", "signature": "no base64!"});
    let at = "/messages/0/content/0/signature";
    refused(ask(&says("assistant", json!([odd]))), UnsupportedContent, at, "not base64 of RFC 4648");
    assert!(ask(&says("assistant", json!([]))).is_ok(), "an answer may have said nothing");
}

#[test]
fn media_are_held_to_the_rules_of_other_apis() {
    let image = |source: Value| says("user", json!([{"type": "image", "source": source}]));
    let data = |data: &str| image(json!({"type": "base64", "media_type": "image/png", "data": data}));
    let at = "/messages/0/content/0/source/data";
    assert!(ask(&data(PICTURE)).is_ok());
    refused(ask(&data("QUJD")), UnsupportedContent, at, "not an image of type png, jpeg, gif or webp");
    refused(ask(&data("!")), UnsupportedContent, at, "not base64 of RFC 4648");
    let small = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";
    refused(ask(&data(small)), OutOfRange, at, "an image of 1 x 1 is smaller than 28 x 28");
    let long = "media of 24 bytes exceeds maximum 8";
    refused(under(Limits::default().media_bytes(8), &data(PICTURE)), StringTooLong, at, long);
    let url = |url: &str| image(json!({"type": "url", "url": url}));
    let at = "/messages/0/content/0/source/url";
    let message = "images are accepted as base64 data: addresses only";
    refused(ask(&url("https://a.com/b.png")), UnsupportedContent, at, message);
    let open = Limits::default().danger_remote_media(true);
    assert!(under(open.clone(), &url("https://a.com/b.png")).is_ok());
    for address in ["https://127.0.0.1/a", "https://a.internal/a", "http://a.com/b.png", "https://[::1]/a"] {
        refused(under(open.clone(), &url(address)), UnsupportedContent, at, message);
    }
    let file = says(
        "user",
        json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}}]),
    );
    let closed = "files are not accepted (an operator can set danger_files)";
    refused(ask(&file), UnsupportedContent, "/messages/0/content/0/source/data", closed);
    assert!(under(Limits::default().danger_files(true), &file).unwrap().has_other_than_text());
}

fn answer(body: &Value) -> Result<InferenceAnswer, Invalid> {
    let asked = ask(&json!({})).unwrap();
    Validator::default().parse_answer(&asked, &Head::default(), &Bytes::from(body.to_string()))
}

fn body(answer: &InferenceAnswer) -> Value {
    serde_json::from_slice(&answer.to_body().bytes).unwrap()
}

fn said() -> Value {
    json!({
        "id": "inner", "type": "message", "role": "assistant", "model": "inner", "odd": "inner",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "yes", "citations": [{"odd": "inner"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "deep", "n": [1.50, 2]}, "odd": "inner"},
            {"type": "server_tool_use", "id": "inner", "name": "inner", "input": {}},
            {"type": "text"},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 4, "service_tier": "inner"},
    })
}

#[test]
fn an_answer_is_reduced_to_what_a_caller_may_see() {
    let mut read = answer(&said()).unwrap();
    assert_eq!(read.usage(), Some(Usage { input_tokens: 7, output_tokens: 5 }));
    let mut slots = Vec::new();
    read.map_texts(|slot, text| {
        slots.push((slot, text.clone()));
        *text = text.replace("deep", "[X]");
    });
    for (slot, text) in [
        (Slot::Reasoning(0), "hm"),
        (Slot::Label(0), "c2ln"),
        (Slot::Content(1), "yes"),
        (Slot::Label(2), "f"),
        (Slot::Arguments(2, 0), r#"{"a":"deep","n":[1.5,2]}"#),
    ] {
        assert!(slots.contains(&(slot, text.to_owned())), "{slot:?} in {slots:?}");
    }
    read.rename("msg_1", &"m".parse().unwrap());
    let text = String::from_utf8(read.to_body().bytes.to_vec()).unwrap();
    assert!(!text.contains("inner"), "{text}");
    let body = body(&read);
    assert_eq!(body["content"][2]["input"], json!({"a": "[X]", "n": [1.5, 2]}));
    assert_eq!((&body["content"].as_array().unwrap().len(), &body["stop_reason"]), (&3, &json!("tool_use")));
    assert_eq!((&body["id"], &body["model"], &body["type"]), (&json!("msg_1"), &json!("m"), &json!("message")));
}

#[test]
fn an_answer_is_mended_or_refused() {
    let bare = body(&answer(&json!({"content": [{"type": "tool_use", "id": "a", "name": "f"}]})).unwrap());
    let expected = json!({
        "id": null, "model": null, "type": "message", "role": "assistant", "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
        "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
    });
    assert_eq!(bare, expected);
    assert_eq!(answer(&json!({"content": []})).unwrap().usage(), None);
    for broken in [
        json!({}),
        json!({"content": null}),
        json!({"content": "hi"}),
        json!({"content": [{"type": "text", "text": 5}]}),
        json!({"content": [{"type": "tool_use", "id": "a", "name": "f", "input": "{}"}]}),
        json!({"content": [{"type": "thinking", "thinking": "a", "signature": "no base64!"}]}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "inner"}}),
        json!([]),
    ] {
        assert!(answer(&broken).is_err(), "{broken}");
    }
}

#[test]
fn a_block_that_is_kept_back_ends_the_answer_as_refused() {
    let mut read = answer(&said()).unwrap();
    assert!(read.filter_choice(2) && !read.filter_choice(9));
    let body = body(&read);
    assert_eq!(body["content"][2], json!({"type": "text", "text": ""}));
    assert_eq!(body["stop_reason"], "refusal");
}

#[test]
fn what_screening_leaves_of_an_object_is_one() {
    for left in ["", "{\"a\":", "5", "{\"a\":1,\"a\":2}"] {
        let mut read = answer(&said()).unwrap();
        read.map_texts(|slot, text| {
            if matches!(slot, Slot::Arguments(..)) {
                *text = left.to_owned();
            }
        });
        assert_eq!(body(&read)["content"][2]["input"], json!({}), "{left}");
        let told = read.to_events();
        assert!(told.iter().any(|(_, event)| event.ends_with(br#""partial_json":"{}"}}"#)), "{left}");
    }
}

/// What a caller's library makes of the events of a stream.
#[expect(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]
fn put_together(events: &[(&str, Bytes)]) -> Value {
    let mut whole = Value::Null;
    let mut partial = String::new();
    for (name, event) in events {
        let event: Value = serde_json::from_slice(event).unwrap();
        assert_eq!(event["type"], *name);
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        match *name {
            "message_start" => whole = event["message"].clone(),
            "content_block_start" => {
                partial.clear();
                assert_eq!(whole["content"].as_array().unwrap().len(), index);
                whole["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let (delta, block) = (&event["delta"], &mut whole["content"][index]);
                for key in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[key].as_str() {
                        block[key] = json!(block[key].as_str().unwrap().to_owned() + more);
                    }
                }
                partial += delta["partial_json"].as_str().unwrap_or_default();
                if !partial.is_empty() {
                    block["input"] = serde_json::from_str(&partial).unwrap();
                }
            }
            "message_delta" => {
                whole["stop_reason"] = event["delta"]["stop_reason"].clone();
                whole["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                whole["usage"] = event["usage"].clone();
            }
            "content_block_stop" | "message_stop" => {}
            other => panic!("{other}"),
        }
    }
    whole
}

proptest! {
    #[test]
    fn events_tell_the_whole_answer(
        texts in proptest::collection::vec((0_usize..4, any::<String>()), 0..5), count in 0_u64..1 << 40,
    ) {
        let block = |(kind, text): &(usize, String)| match kind {
            0 => json!({"type": "text", "text": text}),
            1 => json!({"type": "thinking", "thinking": text, "signature": "c2ln"}),
            2 => json!({"type": "redacted_thinking", "data": "b3BhcXVl"}),
            _ => json!({"type": "tool_use", "id": "a", "name": "f", "input": {text: [text, count, null]}}),
        };
        let content: Vec<Value> = texts.iter().map(block).collect();
        let said = json!({
            "type": "message", "role": "assistant", "content": content, "stop_reason": "stop_sequence",
            "stop_sequence": "END", "usage": {"input_tokens": count, "output_tokens": 1},
        });
        let read = answer(&said).unwrap();
        let whole = body(&read);
        prop_assert_eq!(&whole["content"], &said["content"]);
        let events = read.to_events();
        prop_assert_eq!(events.last().map(|(name, _)| *name), Some("message_stop"));
        prop_assert_eq!(put_together(&events), whole.clone());
        let again = answer(&whole).unwrap();
        prop_assert_eq!(again.to_body(), read.to_body());
    }

    #[test]
    fn written_messages_read_the_same(text in any::<String>(), key in "[a-z ]{1,9}") {
        let text = format!("x{text}");
        let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {key: [text, {"b": text}]}});
        let result = json!({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": text}]});
        let asked = with(&json!({"system": text, "messages": [
            {"role": "assistant", "content": [{"type": "text", "text": text}, call]}, {"role": "user", "content": [result]},
        ]}));
        let first = read(Operation::Message, &asked.to_string()).unwrap();
        prop_assert_eq!(first.texts().filter(|one| one.text() == text.as_str()).count(), 5);
        prop_assert_eq!(serde_json::from_slice::<Value>(&first.to_body().bytes).unwrap(), asked);
    }
}
