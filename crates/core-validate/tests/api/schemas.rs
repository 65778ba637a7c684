//! JSON schemas: what of them goes on, what is left out, what is refused.

use super::{chat, refused};
use core_validate::InvalidCode::*;
use core_validate::{InferenceRequest, Invalid};

const AT: &str = "/tools/0/function/parameters";

fn tool(schema: &str) -> Result<InferenceRequest, Invalid> {
    let function = format!(r#"{{"name":"f","parameters":{schema}}}"#);
    chat(&format!(r#","tools":[{{"type":"function","function":{function}}}]"#))
}

fn passed(schema: &str) -> String {
    String::from_utf8(tool(schema).unwrap().to_body().bytes.to_vec()).unwrap()
}

#[test]
fn references_lead_to_schemas_of_the_same_schema() {
    for good in [
        r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##,
        r##"{"$defs":{"a/b":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a~1b"}}}"##,
        r##"{"definitions":{"N":{"properties":{"default":{"type":"string"}}}},"items":{"$ref":"#/definitions/N/properties/default"}}"##,
        r##"{"anyOf":[{"type":"string"},{"$ref":"#/anyOf/0"}]}"##,
        r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"type":"null"}},"$ref":"#/$defs/a"}"##,
        r##"{"definitions":{"Box<string>":{"type":"string"}},"items":{"$ref":"#/definitions/Box%3Cstring%3E"}}"##,
        r##"{"$defs":{"T":{"anyOf":[{"type":"null"},{"type":"array","items":{"$ref":"#/$defs/T"}}]}},"$ref":"#/$defs/T"}"##,
    ] {
        assert!(tool(good).is_ok(), "{good} {:?}", tool(good).err());
    }
    let words = "a reference leads to a schema of the same schema, and to an end";
    for (bad, at) in [
        (r##"{"properties":{"a":{"$ref":"#/x-s"}},"x-s":{"type":"strin"}}"##, "/properties/a/?"),
        (r##"{"properties":{"a":{"$ref":"#/other/s"}},"other":{"s":{"pattern":"("}}}"##, "/properties/a/?"),
        (r##"{"properties":{"a":{"$ref":"#/default"}},"default":{"pattern":"("}}"##, "/properties/a/?"),
        (r##"{"items":{"$ref":"#/enum/0"},"enum":[{"type":"strin"}]}"##, "/items/?"),
        (r##"{"$ref":"#"}"##, "/?"),
        (r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"items":{"$ref":"#/$defs/a"}}"##, "/?/a/?"),
        (r##"{"$ref":"https://example.com/schema.json"}"##, "/?"),
        (r##"{"$ref":"#/$defs/none"}"##, "/?"),
        (r##"{"$ref":"#/properties"}"##, "/?"),
        (r##"{"$ref":5}"##, "/?"),
        (
            r##"{"$defs":{"A":{"$ref":"#/$defs/B","title":"a"},"B":{"$ref":"#/$defs/A","title":"b"}},"$ref":"#/$defs/A"}"##,
            "/?/A/?",
        ),
        (r##"{"allOf":[{"$ref":"#"}]}"##, "/allOf/0/?"),
        (r##"{"anyOf":[{"type":"null"},{"$ref":"#/anyOf/01"}]}"##, "/anyOf/1/?"),
    ] {
        refused(tool(bad), UnsupportedContent, &format!("{AT}{at}"), words);
    }
}

#[test]
fn counts_that_are_written_out_are_left_out() {
    let body =
        passed(r#"{"type":"array","minItems":3,"maxItems":100000000,"items":{"maxLength":10001,"minLength":10000}}"#);
    assert!(body.contains(r#"{"type":"array","minItems":3,"items":{"minLength":10000}}"#), "{body}");
    refused(tool(r#"{"minLength":-1}"#), WrongType, &format!("{AT}/minLength"), "expected a number of 0 or more");
    refused(tool(r#"{"maxItems":"9"}"#), WrongType, &format!("{AT}/maxItems"), "expected a number of 0 or more");
    // A property of that name is no count.
    assert!(tool(r#"{"properties":{"maxItems":{"type":"string"}}}"#).is_ok());
}

#[test]
fn all_schemas_together_are_bounded() {
    let many = |count: usize, schema: &str| {
        let members: Vec<String> = (0..count).map(|at| format!(r#""p{at}":{schema}"#)).collect();
        tool(&format!(r#"{{"properties":{{{}}}}}"#, members.join(",")))
    };
    assert!(many(90, r#"{"maxLength":10000}"#).is_ok());
    assert_eq!(many(110, r#"{"maxLength":10000}"#).unwrap_err().code(), OutOfRange);
    assert_eq!(many(110, r#"{"pattern":"a{9990}"}"#).unwrap_err().code(), OutOfRange);
    // Thousands of references into thousands of members.
    let members: Vec<String> = (0..1_100).map(|at| format!(r##""d{at}":{{"$ref":"#/$defs/end"}}"##)).collect();
    let wide = tool(&format!(r#"{{"$defs":{{{},"end":{{"type":"null"}}}}}}"#, members.join(",")));
    assert_eq!(wide.unwrap_err().code(), UnsupportedContent);
}

#[test]
fn what_is_no_schema_is_refused_or_left_out() {
    for bad in
        [r#"{"properties":{"a":5}}"#, r#"{"anyOf":["x"]}"#, r#"{"items":["x"]}"#, r#"{"if":3}"#, r#"{"properties":5}"#]
    {
        assert_eq!(tool(bad).unwrap_err().code(), WrongType, "{bad}");
    }
    // Annotations of others, and what a dump writes of what is not there.
    let body = passed(
        r#"{"errorMessage":{"type":"must be text","required":"Name is needed"},"required":null,"items":null,"maxLength":null}"#,
    );
    assert!(
        body.contains(r#""parameters":{"errorMessage":{"type":"must be text","required":"Name is needed"}}"#),
        "{body}"
    );
}

#[test]
fn names_are_not_taken_for_keywords() {
    for good in [
        r#"{"dependentRequired":{"type":["kind"]}}"#,
        r#"{"dependencies":{"pattern":["x"],"type":{"type":"string"}}}"#,
        r#"{"properties":{"$ref":{"type":"string"},"enum":{"type":"string"}}}"#,
    ] {
        assert!(tool(good).is_ok(), "{good} {:?}", tool(good).err());
    }
    // Under a name that is a keyword elsewhere, a schema is a schema.
    let wrong = tool(r#"{"properties":{"default":{"type":"strin"}}}"#);
    refused(wrong, OutOfRange, &format!("{AT}/properties/default/type"), "not a type of JSON schema");
}

#[test]
fn what_a_server_compiles_is_told() {
    let schemas = |more: &str| chat(more).unwrap().schemas().map(str::to_owned).collect::<Vec<_>>();
    let tools = r#"[{"type":"function","function":{"name":"f"}}]"#;
    assert_eq!(schemas(&format!(r#","tools":{tools}"#)), Vec::<String>::new());
    assert_eq!(schemas(&format!(r#","tools":{tools},"tool_choice":"required""#)), [tools]);
    let format = r#"{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}"#;
    assert_eq!(schemas(&format!(r#","response_format":{format}"#)), [format]);
}
