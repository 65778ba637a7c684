//! Images, audio and files in messages: carried along as base64, small enough, and what they say they are.

use crate::invalid::{Invalid, InvalidCode};
use crate::json::Value;
use crate::openai::base64::Base64;
use crate::openai::pixels::{self, Pixels};
use crate::openai::rule::Walk;
use crate::refuse::unsupported;

/// What an image counts for in the estimate: one 512 pixel tile and its base, after OpenAI's
/// published price table.
const IMAGE_TOKENS: u64 = 765;

/// Smallest side of an image; vLLM's processors crash below a patch of 28 (CVE-2026-22773).
const MIN_SIDE: u32 = 28;
/// Most pixels of an image, and of all images of a request.
const MAX_PIXELS: u64 = 40_000_000;
const ALL_PIXELS: u64 = 5 * MAX_PIXELS;

/// An image is a `data:` address; anything else makes the model server fetch it.
pub(super) fn image(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    let url = value.as_word().unwrap_or_default();
    if let Some(rest) = url.strip_prefix("https://") {
        count_image(walk);
        return match walk.limits.remote_media && is_public(rest) {
            true => Ok(()),
            false => Err(unsupported(value.pointer(), "images are accepted as base64 data: addresses only")),
        };
    }
    let data = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    let known = data.filter(|(kind, _)| matches!(*kind, "png" | "jpeg" | "jpg" | "gif" | "webp"));
    let Some((_, data)) = known else {
        return Err(unsupported(value.pointer(), "images are accepted as base64 data: addresses only"));
    };
    image_data(walk, value, url.len() - data.len())
}

fn count_image(walk: &mut Walk<'_>) {
    walk.media_tokens += IMAGE_TOKENS;
    walk.has_other = true;
}

/// An image in base64, behind `before` ASCII letters.
pub(super) fn image_data(walk: &mut Walk<'_>, value: Value<'_>, before: usize) -> Result<(), Invalid> {
    count_image(walk);
    let data = decoded(walk, value, before)?;
    match pixels::read(&data) {
        Some(Pixels { width, height }) if width.min(height) < MIN_SIDE => {
            let message = format!("an image of {width} x {height} is smaller than {MIN_SIDE} x {MIN_SIDE}");
            Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
        }
        Some(Pixels { width, height }) if u64::from(width) * u64::from(height) > MAX_PIXELS => {
            let message = format!("an image of {width} x {height} has more than {MAX_PIXELS} pixels");
            Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
        }
        Some(Pixels { width, height }) => {
            walk.pixels += u64::from(width) * u64::from(height);
            if walk.pixels <= ALL_PIXELS {
                return Ok(());
            }
            let message = format!("all images have more than {ALL_PIXELS} pixels");
            Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
        }
        None => Err(unsupported(value.pointer(), "not an image of type png, jpeg, gif or webp")),
    }
}

/// Audio is base64.
pub(super) fn audio(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    if !walk.limits.media.audio {
        return Err(unsupported(value.pointer(), "audio is not accepted (an operator can set danger_audio)"));
    }
    walk.has_other = true;
    decoded(walk, value, 0).map(drop)
}

fn accept_file(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    if !walk.limits.media.files {
        return Err(unsupported(value.pointer(), "files are not accepted (an operator can set danger_files)"));
    }
    walk.has_other = true;
    Ok(())
}

/// A file in base64.
pub(super) fn file_data(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    accept_file(walk, value)?;
    decoded(walk, value, 0).map(drop)
}

/// A file is a `data:` address of base64.
pub(super) fn file(walk: &mut Walk<'_>, value: Value<'_>) -> Result<(), Invalid> {
    accept_file(walk, value)?;
    let url = value.as_word().unwrap_or_default();
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let is_type = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'+');
    match data.filter(|(kind, _)| kind.len() <= 100 && kind.bytes().all(is_type)) {
        Some((_, data)) => decoded(walk, value, url.len() - data.len()).map(drop),
        None => Err(unsupported(value.pointer(), "files are accepted as base64 data: addresses only")),
    }
}

/// The base64 behind `before` ASCII letters, whose size was looked at before any of it is decoded.
fn decoded<'d>(walk: &Walk<'_>, value: Value<'d>, before: usize) -> Result<Base64<'d>, Invalid> {
    let most = walk.limits.media_bytes;
    let data = match value.as_plain() {
        Some(text) => text.get(before..).and_then(Base64::new),
        None => Base64::of_chars(value.chars().skip(before)),
    };
    let Some(data) = data else { return Err(unsupported(value.pointer(), "not base64 of RFC 4648")) };
    if data.len() > most {
        let message = format!("media of {} bytes exceeds maximum {most}", data.len());
        return Err(Invalid::new(InvalidCode::StringTooLong, value.pointer(), message));
    }
    Ok(data)
}

/// Endings of names that mean something inside only (RFC 6761 and 6762, and what networks, clusters and meshes use).
const INSIDE: [&str; 17] = [
    "local",
    "localhost",
    "localdomain",
    "internal",
    "lan",
    "home",
    "corp",
    "intranet",
    "private",
    "test",
    "example",
    "invalid",
    "onion",
    "svc",
    "cluster",
    "consul",
    "alt",
];
/// Services whose names are addresses of the caller's choice.
const MIRRORS: [&str; 6] = ["nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "traefik.me"];

/// Whether an address names a host of the open network: by a name of letters with a public ending, on the default
/// port, without a user. Names may still lead inside; keeping the server from going there is its network's task.
fn is_public(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
    };
    let ending = labels.last().copied().unwrap_or_default().to_ascii_lowercase();
    let is_inside = INSIDE.contains(&&*ending) || host.to_ascii_lowercase().ends_with(".home.arpa");
    let is_mirror = MIRRORS.iter().any(|name| host.to_ascii_lowercase().ends_with(name));
    let is_name = ending.len() >= 2 && ending.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_plain =
        rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'@'));
    labels.len() >= 2
        && labels.iter().all(is_label)
        && is_name
        && !is_inside
        && !is_mirror
        && is_plain
        && rest.len() <= 2_048
}
