//! Chat messages: roles, parts, tool calls, and which of it is text.

use crate::invalid::{Invalid, InvalidCode, Pointer, is_word};
use crate::json::Json;
use crate::openai::{Walk, empty, missing, unsupported, wrong_type};
use crate::request::Origin;

/// What an image counts for in the estimate: one 512 pixel tile and its base, after OpenAI's
/// published price table.
const IMAGE_TOKENS: u64 = 765;

impl Walk<'_> {
    pub(super) fn messages(&mut self, value: &Json, at: &Pointer) -> Result<(), Invalid> {
        let Json::Array(messages) = value else { return Err(wrong_type(at.clone(), "a list of messages")) };
        if messages.is_empty() {
            return Err(empty(at.clone()));
        }
        if messages.len() > self.limits.messages {
            let message = format!("{} messages exceed maximum {}", messages.len(), self.limits.messages);
            return Err(Invalid::new(InvalidCode::OutOfRange, at.clone(), message));
        }
        for (i, message) in messages.iter().enumerate() {
            self.steps.push(i);
            self.message(message, &at.index(i))?;
            self.steps.pop();
        }
        Ok(())
    }

    fn message(&mut self, value: &Json, at: &Pointer) -> Result<(), Invalid> {
        let Json::Object(fields) = value else { return Err(wrong_type(at.clone(), "an object")) };
        let role_at = at.key("role");
        let origin = match value.get("role") {
            None => return Err(missing(role_at)),
            Some(Json::Text(role)) => origin_of(role)
                .ok_or_else(|| Invalid::new(InvalidCode::OutOfRange, role_at, "expected a role of the chat API"))?,
            Some(_) => return Err(wrong_type(role_at, "a string")),
        };
        let has = |key: &str| value.get(key).is_some_and(|v| *v != Json::Null);
        if !has("content") && !has("tool_calls") && !has("function_call") && !has("refusal") {
            return Err(missing(at.key("content")));
        }
        for (i, (key, field)) in fields.iter().enumerate() {
            let at = at.key(key);
            self.steps.push(i);
            match (key.as_str(), field) {
                ("role", _) | (_, Json::Null) => {}
                ("content", _) => self.content(field, &at, origin)?,
                ("name" | "refusal" | "reasoning" | "reasoning_content" | "tool_call_id", Json::Text(_))
                | ("tool_calls" | "function_call", Json::Array(_) | Json::Object(_)) => {
                    self.every_text(field, &at, origin);
                }
                ("name" | "refusal" | "reasoning" | "reasoning_content" | "tool_call_id", _) => {
                    return Err(wrong_type(at, "a string"));
                }
                ("tool_calls" | "function_call", _) => return Err(wrong_type(at, "a list")),
                _ => return Err(unknown(key, at)),
            }
            self.steps.pop();
        }
        Ok(())
    }

    fn content(&mut self, value: &Json, at: &Pointer, origin: Origin) -> Result<(), Invalid> {
        match value {
            Json::Text(_) => {
                self.every_text(value, at, origin);
                Ok(())
            }
            Json::Array(parts) if parts.is_empty() => Err(empty(at.clone())),
            Json::Array(parts) => parts.iter().enumerate().try_for_each(|(i, part)| {
                self.steps.push(i);
                let read = self.part(part, &at.index(i), origin);
                self.steps.pop();
                read
            }),
            _ => Err(wrong_type(at.clone(), "a string or a list of parts")),
        }
    }

    fn part(&mut self, value: &Json, at: &Pointer, origin: Origin) -> Result<(), Invalid> {
        let Json::Object(fields) = value else { return Err(wrong_type(at.clone(), "an object")) };
        let kind = value.get("type").and_then(Json::as_str).ok_or_else(|| missing(at.key("type")))?;
        let content = match kind {
            "text" | "refusal" | "image_url" => kind,
            _ => return Err(unsupported(at.key("type"), "this kind of content is not accepted")),
        };
        if value.get(content).is_none() {
            return Err(missing(at.key(content)));
        }
        for (i, (key, field)) in fields.iter().enumerate() {
            let at = at.key(key);
            self.steps.push(i);
            match (key.as_str(), field) {
                ("type", _) => {}
                ("image_url", Json::Object(_)) if content == "image_url" => self.image(field, &at)?,
                ("text" | "refusal", Json::Text(_)) if key == content => self.every_text(field, &at, origin),
                (key, _) if key == content => return Err(wrong_type(at, "another type")),
                _ => return Err(unknown(key, at)),
            }
            self.steps.pop();
        }
        Ok(())
    }

    /// An image is a `data:` address; anything else makes the model server fetch it.
    fn image(&mut self, value: &Json, at: &Pointer) -> Result<(), Invalid> {
        let Json::Object(fields) = value else { return Err(wrong_type(at.clone(), "an object")) };
        for (key, field) in fields {
            match (key.as_str(), field) {
                ("detail", Json::Text(word)) if matches!(word.as_str(), "auto" | "low" | "high") => {}
                ("url", Json::Text(url)) if is_image_data(url) => {}
                ("url", Json::Text(url)) if self.limits.remote_media && url.starts_with("https://") => {}
                ("url", _) => {
                    return Err(unsupported(at.key("url"), "images are accepted as base64 data: addresses only"));
                }
                ("detail", _) => return Err(wrong_type(at.key("detail"), "auto, low or high")),
                _ => return Err(unknown(key, at.key(key))),
            }
        }
        self.media_tokens += IMAGE_TOKENS;
        Ok(())
    }
}

/// `data:image/{png,jpeg,gif,webp};base64,` and base64: nothing that could be read as text.
fn is_image_data(url: &str) -> bool {
    let Some((kind, data)) = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,")) else {
        return false;
    };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    matches!(kind, "png" | "jpeg" | "jpg" | "gif" | "webp") && data.bytes().all(is_digit)
}

fn origin_of(role: &str) -> Option<Origin> {
    match role {
        "user" => Some(Origin::User),
        "system" | "developer" => Some(Origin::System),
        "assistant" => Some(Origin::Assistant),
        "tool" | "function" => Some(Origin::ToolResult),
        _ => None,
    }
}

fn unknown(key: &str, at: Pointer) -> Invalid {
    let message =
        if is_word(key) { format!("field {key} is not accepted here") } else { "a field is not accepted".to_owned() };
    Invalid::new(InvalidCode::UnknownField, at, message)
}
