//! References of JSON schemas (`$ref`): within the schema, to a schema that was looked at, and to an end.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::json::{Kind, Value};

/// Schemas about the same value that may stand in one another.
const HOPS: usize = 48;
/// Members that are looked at for the references of one request.
const LOOKS: usize = 200_000;

/// Where the members of a schema stand that are schemas by a name of their own.
pub(super) fn holds_by_name(keyword: &str) -> bool {
    matches!(keyword, "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas")
}

/// Keywords that hold a schema, or a list of them.
pub(super) fn holds_schemas(keyword: &str) -> bool {
    matches!(
        keyword,
        "items"
            | "prefixItems"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "not"
            | "if"
            | "then"
            | "else"
            | "anyOf"
            | "oneOf"
            | "allOf"
            | "contentSchema"
    )
}

/// Members of a schema that are values, not schemas.
pub(super) fn holds_values(keyword: &str) -> bool {
    let is_value = matches!(
        keyword,
        "enum" | "const" | "default" | "examples" | "example" | "required" | "dependentRequired" | "discriminator"
    );
    is_value || keyword.starts_with("x-")
}

/// What was found of the references of one request.
#[derive(Default)]
pub(super) struct References {
    /// Schemas that say something, by their nodes.
    ends: BTreeSet<u32>,
    /// Members that were looked at.
    looked: usize,
}

impl References {
    /// Whether a reference leads, by way of schemas alone, to a schema that says something of its own: not back to
    /// itself, be it through `allOf` and the like, which are about the same value.
    pub(super) fn leads_home(&mut self, root: Value<'_>, reference: Value<'_>) -> bool {
        let Some(path) = reference.as_word() else { return false };
        self.target(root, &path).is_some_and(|target| self.ends(root, target, HOPS))
    }

    /// Recursion ends with `hops`.
    fn ends(&mut self, root: Value<'_>, schema: Value<'_>, hops: usize) -> bool {
        if self.ends.contains(&schema.id()) {
            return true;
        }
        let Some(hops) = hops.checked_sub(1) else { return false };
        for field in schema.fields() {
            let key = field.key();
            let is_good = match &*key {
                "$ref" => field
                    .as_word()
                    .and_then(|path| self.target(root, &path))
                    .is_some_and(|target| self.ends(root, target, hops)),
                "allOf" | "anyOf" | "oneOf" => field.items().all(|member| self.ends(root, member, hops)),
                "not" | "if" | "then" | "else" => self.ends(root, field, hops),
                _ => true,
            };
            if !is_good {
                return false;
            }
        }
        self.ends.insert(schema.id());
        true
    }

    /// The schema that `#` or `#/…` names (RFC 6901, section 6).
    fn target<'d>(&mut self, root: Value<'d>, path: &str) -> Option<Value<'d>> {
        let steps = path.strip_prefix('#')?;
        if steps.is_empty() {
            return Some(root);
        }
        let mut value = root;
        // Whether `value` holds schemas, or is one.
        let mut holds = false;
        for step in steps.strip_prefix('/')?.split('/') {
            let step = unescaped(step)?;
            self.looked += value.size();
            if self.looked > LOOKS {
                return None;
            }
            if value.kind() == Kind::Array {
                value = value.items().nth(index(&step)?)?;
                continue;
            }
            // What stands anywhere else was not looked at.
            if !holds && !holds_by_name(&step) && !holds_schemas(&step) {
                return None;
            }
            value = value.get(&step)?;
            holds = !holds && holds_by_name(&step);
        }
        (!holds && matches!(value.kind(), Kind::Object | Kind::True | Kind::False)).then_some(value)
    }
}

/// One step of a pointer in a fragment: percent encoding first, then the escapes of pointers.
fn unescaped(step: &str) -> Option<Cow<'_, str>> {
    if !step.contains(['%', '~']) {
        return Some(Cow::Borrowed(step));
    }
    let mut bytes = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    Some(Cow::Owned(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~")))
}

/// An index as RFC 6901 writes it.
fn index(step: &str) -> Option<usize> {
    let is_plain = step.bytes().all(|byte| byte.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    is_plain.then(|| step.parse().ok()).flatten()
}
