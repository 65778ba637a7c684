//! References of JSON schemas (`$ref`): within the schema, to a schema that was looked at, and to an end.

use std::borrow::Cow;

use crate::json::{Kind, Value};

/// Hops from reference to reference, none of which is more than that.
const HOPS: usize = 16;

/// Where the members of a schema stand that are schemas by a name of their own.
pub(super) fn holds_by_name(keyword: &str) -> bool {
    matches!(keyword, "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas")
}

/// Members of a schema that are values, not schemas.
pub(super) fn holds_values(keyword: &str) -> bool {
    let is_value = matches!(
        keyword,
        "enum" | "const" | "default" | "examples" | "example" | "required" | "dependentRequired" | "discriminator"
    );
    is_value || keyword.starts_with("x-")
}

/// Whether a reference leads, by way of schemas alone, to a schema that is more than another reference.
pub(super) fn leads_home(root: Value<'_>, reference: Value<'_>) -> bool {
    let mut next = reference;
    for _ in 0..HOPS {
        let Some(target) = next.as_str().and_then(|path| target(root, &path)) else { return false };
        match target.get("$ref") {
            Some(further) if target.size() == 1 => next = further,
            _ => return true,
        }
    }
    false
}

/// The schema that `#` or `#/…` names (RFC 6901).
fn target<'d>(root: Value<'d>, path: &str) -> Option<Value<'d>> {
    let steps = path.strip_prefix('#')?;
    if steps.is_empty() {
        return Some(root);
    }
    let mut value = root;
    // Whether `value` holds schemas, or is one.
    let mut holds = false;
    for step in steps.strip_prefix('/')?.split('/') {
        let step: Cow<'_, str> = match step.contains('~') {
            true => Cow::Owned(step.replace("~1", "/").replace("~0", "~")),
            false => Cow::Borrowed(step),
        };
        if value.kind() == Kind::Array {
            value = value.items().nth(step.parse().ok()?)?;
            continue;
        }
        if !holds && holds_values(&step) {
            return None;
        }
        value = value.get(&step)?;
        holds = !holds && holds_by_name(&step);
    }
    (!holds && matches!(value.kind(), Kind::Object | Kind::True | Kind::False)).then_some(value)
}
