//! How large an image says it is, read from its headers alone; one that says two sizes is none.
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

/// The first chunk says it; readers that take a later one of its kind would read another size.
fn png(image: &Base64<'_>) -> Option<Pixels> {
    let number = |at| image.bytes::<4>(at).map(u32::from_be_bytes);
    let is_header = number(8)? == 13 && image.bytes::<4>(12)? == *b"IHDR";
    let pixels = Some(Pixels { width: number(16)?, height: number(20)? }).filter(|_| is_header)?;
    let mut at = 8 + 12 + 13;
    while let (Some(length), Some(kind)) = (number(at), image.bytes::<4>(at + 4)) {
        match &kind {
            b"IHDR" => return None,
            // Whatever comes behind the picture comes too late.
            b"IDAT" | b"IEND" => return Some(pixels),
            _ => at = at.checked_add(12)?.checked_add(length as usize)?,
        }
    }
    Some(pixels).filter(|_| !image.is_cut())
}

/// The screen, which no frame leaves: readers differ in which of them they take.
fn gif(image: &Base64<'_>) -> Option<Pixels> {
    let number = |at| image.bytes::<2>(at).map(|bytes| u32::from(u16::from_le_bytes(bytes)));
    let byte = |at| image.bytes::<1>(at).map(|[byte]| byte);
    let colors = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let screen = Pixels { width: number(6)?, height: number(8)? };
    let mut at = 13 + colors(byte(10)?);
    while let Some(block) = byte(at) {
        at += match block {
            b',' => {
                let (Some(left), Some(top)) = (number(at + 1), number(at + 3)) else { break };
                let (Some(width), Some(height), Some(flags)) = (number(at + 5), number(at + 7), byte(at + 9)) else {
                    break;
                };
                if left + width > screen.width || top + height > screen.height {
                    return None;
                }
                11 + colors(flags)
            }
            b'!' => 2,
            _ => break,
        };
        while let Some(length) = byte(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    Some(screen)
}

/// Goes from segment to segment up to the picture itself; only one of them is a frame's header.
fn jpeg(image: &Base64<'_>) -> Option<Pixels> {
    /// Segments before the picture; each may be 64 KiB of something else.
    const SEGMENTS: usize = 256;
    let mut at = 2;
    let mut frame = None;
    for _ in 0..SEGMENTS {
        let Some([mark, kind, high, low]) = image.bytes::<4>(at) else { return frame.filter(|_| !image.is_cut()) };
        let length = usize::from(u16::from_be_bytes([high, low])).max(2);
        match (mark, kind) {
            // Fill bytes.
            (0xff, 0xff) => at += 1,
            // Frames, but for the tables whose numbers lie between.
            (0xff, 0xc0..=0xcf) if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let size = |at| image.bytes::<2>(at).map(|bytes| u32::from(u16::from_be_bytes(bytes)));
                let pixels = Pixels { height: size(at + 5)?, width: size(at + 7)? };
                if frame.replace(pixels).is_some() {
                    return None;
                }
                at += 2 + length;
            }
            (0xff, 0xda) => return frame,
            // The end, or what has no length, before the picture.
            (0xff, 0x00 | 0x01 | 0xd0..=0xd9) => return None,
            (0xff, _) => at += 2 + length,
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
    use base64::Engine as _;

    use super::*;

    fn base64_of(bytes: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

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

    /// Readers would differ in which size they take.
    #[test]
    fn an_image_of_two_sizes_is_none() {
        let two = |first: &[u8], again: &[u8]| base64_of(&[first, again].concat());
        let chunk = |kind: &[u8], data: &[u8]| [&(data.len() as u32).to_be_bytes(), kind, data, &[0; 4]].concat();
        let header = chunk(b"IHDR", &[0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0]);
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &header].concat();
        let gif = |width: u8| {
            let frame = [b',', 0, 0, 0, 0, width, 0, 32, 0, 0, 2, 1, 0, 0, b';'];
            base64_of(&[b"GIF89a\x20\0\x20\0\0\0\0".as_slice(), &frame].concat())
        };
        let frame = [0xff, 0xc0, 0, 17, 8, 0, 64, 0, 64, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        let jpeg = [[0xff, 0xd8].as_slice(), &frame].concat();
        let of =
            |text: &str| Base64::new(text).and_then(|data| read(&data)).map(|pixels| (pixels.width, pixels.height));
        assert_eq!(of(&two(&png, &chunk(b"IDAT", &[0; 8]))), Some((64, 64)));
        assert_eq!(of(&two(&png, &header)), None);
        assert_eq!((of(&gif(32)), of(&gif(33))), (Some((32, 32)), None));
        assert_eq!(of(&two(&jpeg, &[0xff, 0xda, 0, 8])), Some((64, 64)));
        assert_eq!(of(&two(&jpeg, &frame)), None);
    }
}
