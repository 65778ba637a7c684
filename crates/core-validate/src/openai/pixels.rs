//! How large an image says it is, read from its header alone.
//!
//! PNG (ISO/IEC 15948), GIF 87a and 89a, JPEG (ITU-T T.81), WebP (RFC 9649).

use crate::openai::base64::Base64;

/// Width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Reads the header; `None` when it is none of an image that is known.
pub(super) fn read(image: &Base64<'_>) -> Option<Pixels> {
    match image.bytes::<12>(0)? {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png(image),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif(image),
        [0xff, 0xd8, 0xff, ..] => jpeg(image),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => webp(image),
        _ => None,
    }
}

fn png(image: &Base64<'_>) -> Option<Pixels> {
    let is_header = image.bytes::<4>(12)? == *b"IHDR";
    let size = |at| image.bytes::<4>(at).map(u32::from_be_bytes);
    Some(Pixels { width: size(16)?, height: size(20)? }).filter(|_| is_header)
}

fn gif(image: &Base64<'_>) -> Option<Pixels> {
    let size = |at| image.bytes::<2>(at).map(|bytes| u32::from(u16::from_le_bytes(bytes)));
    Some(Pixels { width: size(6)?, height: size(8)? })
}

/// Goes from segment to segment up to the frame's header.
fn jpeg(image: &Base64<'_>) -> Option<Pixels> {
    /// Segments before the frame; each may be 64 KiB of something else.
    const SEGMENTS: usize = 256;
    let mut at = 2;
    for _ in 0..SEGMENTS {
        let [mark, kind, high, low] = image.bytes::<4>(at)?;
        match (mark, kind) {
            // Fill bytes.
            (0xff, 0xff) => at += 1,
            // Frames, but for the tables whose numbers lie between.
            (0xff, 0xc0..=0xcf) if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let size = |at| image.bytes::<2>(at).map(|bytes| u32::from(u16::from_be_bytes(bytes)));
                return Some(Pixels { height: size(at + 5)?, width: size(at + 7)? });
            }
            // The picture itself, or its end, before any frame.
            (0xff, 0x00 | 0xd0..=0xda) => return None,
            (0xff, _) => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
            _ => return None,
        }
    }
    None
}

fn webp(image: &Base64<'_>) -> Option<Pixels> {
    match &image.bytes::<4>(12)? {
        b"VP8 " => {
            let is_frame = image.bytes::<3>(23)? == [0x9d, 0x01, 0x2a];
            let size = |at| image.bytes::<2>(at).map(|bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff));
            Some(Pixels { width: size(26)?, height: size(28)? }).filter(|_| is_frame)
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(image.bytes(21)?);
            let is_frame = image.bytes::<1>(20)? == [0x2f];
            Some(Pixels { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 }).filter(|_| is_frame)
        }
        b"VP8X" => {
            let size = |at| image.bytes::<3>(at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) + 1);
            Some(Pixels { width: size(24)?, height: size(27)? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_large_an_image_is() {
        let cases = [
            ("iVBORw0KGgoAAAANSUhEUgAAAEAAAAAg", 64, 32),
            ("R0lGODlhQAAgAIAAAAAAAP", 64, 32),
            ("/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAAgAEADASIAAhEBAxEB", 64, 32),
            ("UklGRgAAAABXRUJQVlA4WAoAAAAAAAAAPwAAHwAA", 64, 32),
        ];
        for (text, width, height) in cases {
            assert_eq!(read(&Base64::new(text).unwrap()), Some(Pixels { width, height }), "{text}");
        }
        for text in
            ["iVBORw0KGgo", "/9j/4AAQSkZJRgABAQAAAQABAAD/", "/9j/2gAQSkZJRgABAQAAAQ", "AAAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert_eq!(Base64::new(text).and_then(|data| read(&data)), None, "{text}");
        }
    }
}
