//! Bodies that arrive packed: unpacked piece by piece, no further than there is room and leave for.
//!
//! One coding, one stream, and nothing behind it: what another reader might take for more is refused.

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::write::{GzDecoder, ZlibDecoder};

use crate::code::Code;

/// Bytes that a step makes of what is there, at most and about: half a millisecond of work.
pub(crate) const STEP: usize = 128 << 10;
/// Most that a library's step makes beyond that, in its own buffers and ours.
pub(crate) const BEYOND: usize = 64 << 10;
/// What a decoder takes itself, about: its state with a window, and a buffer, of 32 KiB each.
pub(crate) const DECODER: usize = 80 << 10;
/// So few packed bytes make no more than a step, for none makes more than 1,032 (RFC 1951: 258 bytes in two bits).
const FEW: usize = STEP / 1_032;
/// Up to so many bytes read and made in all, steps are taken where the request is.
const SMALL: usize = STEP;
const SMALL_READ: usize = 2 << 10;
/// So many packed bytes may make nothing, one after the other: blocks can be empty, and cost what full ones do. A decoder
/// holds back 32 KiB.
const IDLE: usize = 64 << 10;
/// The head of a gzip stream has at most so many bytes. Names and comments in it are kept by the library.
const GZIP_HEAD: usize = 1 << 10;
/// The place of its flags, and the one that announces a field of up to 64 KiB, which nobody needs.
const FLAGS: usize = 3;
const FEXTRA: u8 = 1 << 2;

/// How a body is packed on its way (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `gzip` (RFC 1952), of one member.
    Gzip,
    /// `deflate`, which is the zlib format (RFC 1950).
    Deflate,
}

enum Decoder {
    Gzip(GzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
}

/// A body, as far as it was unpacked.
pub(crate) struct Unpacker {
    decoder: Decoder,
    max_bytes: usize,
    /// Packed bytes that were read, in all, and since more came of them than they are.
    read: usize,
    idle: usize,
}

impl Unpacker {
    /// Of a body that may have so many bytes once it is unpacked.
    pub(crate) fn new(packing: Packing, max_bytes: usize) -> Self {
        let decoder = match packing {
            Packing::Gzip => Decoder::Gzip(GzDecoder::new(Vec::new())),
            Packing::Deflate => Decoder::Deflate(ZlibDecoder::new(Vec::new())),
        };
        Self { decoder, max_bytes, read: 0, idle: 0 }
    }

    /// How many bytes there are by now.
    pub(crate) fn len(&self) -> usize {
        match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref().len(),
            Decoder::Deflate(decoder) => decoder.get_ref().len(),
        }
    }

    /// How many there may be.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Takes from `piece` what makes about [`STEP`] bytes, and gives back the rest; large work is done beside the event
    /// loop.
    pub(crate) async fn step(mut self, mut piece: Bytes) -> Result<(Self, Bytes), Code> {
        if (self.len() <= SMALL && self.read + piece.len() <= SMALL_READ) || piece.len() <= FEW {
            self.step_now(&mut piece)?;
            return Ok((self, piece));
        }
        let stepped = tokio::task::spawn_blocking(move || self.step_now(&mut piece).map(|()| (self, piece))).await;
        stepped.unwrap_or(Err(Code::Internal))
    }

    fn step_now(&mut self, piece: &mut Bytes) -> Result<(), Code> {
        let goal = self.len() + STEP;
        while !piece.is_empty() && self.len() < goal {
            let before = self.len();
            let taken = match &mut self.decoder {
                Decoder::Gzip(decoder) if decoder.header().is_none() => {
                    let left = GZIP_HEAD.saturating_sub(self.read).min(piece.len());
                    let start = piece.get(..left).unwrap_or_default();
                    let flags = FLAGS.checked_sub(self.read).and_then(|at| start.get(at));
                    if flags.is_some_and(|flags| flags & FEXTRA != 0) {
                        return Err(Code::BodyNotPacked);
                    }
                    decoder.write(start)
                }
                Decoder::Gzip(decoder) => decoder.write(piece),
                Decoder::Deflate(decoder) => decoder.write(piece),
            };
            // Once the stream has ended, nothing is taken.
            let count = taken.ok().filter(|count| *count > 0).ok_or(Code::BodyNotPacked)?;
            piece.advance(count);
            self.read += count;
            self.idle = (self.idle + count).saturating_sub(self.len() - before);
            if self.idle > IDLE {
                return Err(Code::BodyNotPacked);
            }
            self.check()?;
        }
        Ok(())
    }

    /// The whole of it, if this is the end.
    pub(crate) fn finish(mut self) -> Result<Bytes, Code> {
        let ended = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Deflate(decoder) => decoder.try_finish(),
        };
        ended.map_err(|_| Code::BodyNotPacked)?;
        self.check()?;
        let whole: io::Result<Vec<u8>> = match self.decoder {
            Decoder::Gzip(decoder) => decoder.finish(),
            Decoder::Deflate(decoder) => decoder.finish(),
        };
        whole.map(Bytes::from).map_err(|_| Code::BodyNotPacked)
    }

    fn check(&self) -> Result<(), Code> {
        if self.len() > self.max_bytes { Err(Code::BodyTooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::{BEYOND, Packing, STEP, Unpacker};
    use crate::code::Code;

    fn pack(packing: Packing, text: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// What is made of these pieces, and the most bytes that a step added.
    fn unpack(packing: Packing, max_bytes: usize, pieces: &[&[u8]]) -> (Result<Bytes, Code>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut most = 0;
        let unpacked = runtime.block_on(async {
            let mut unpacker = Unpacker::new(packing, max_bytes);
            for piece in pieces {
                let mut piece = Bytes::copy_from_slice(piece);
                while !piece.is_empty() {
                    let before = unpacker.len();
                    (unpacker, piece) = unpacker.step(piece).await?;
                    most = most.max(unpacker.len() - before);
                }
            }
            unpacker.finish()
        });
        (unpacked, most)
    }

    #[test]
    fn a_bomb_ends_at_the_limit_and_each_step_is_small() {
        let text = vec![0; 10 << 20];
        for packing in [Packing::Gzip, Packing::Deflate] {
            let packed = pack(packing, &text);
            assert!(packed.len() < 11 << 10, "{}", packed.len());
            let (whole, most) = unpack(packing, text.len(), &[&packed]);
            assert_eq!(whole.unwrap(), text);
            assert!(most <= STEP + BEYOND, "{most}");
            for max_bytes in [0, 1, 1 << 20, text.len() - 1] {
                assert_eq!(unpack(packing, max_bytes, &[&packed]).0, Err(Code::BodyTooLarge), "{max_bytes}");
            }
        }
    }

    #[test]
    fn what_is_cut_damaged_or_followed_by_more_is_refused() {
        for packing in [Packing::Gzip, Packing::Deflate] {
            let packed = pack(packing, b"{\"model\":\"m\",\"messages\":[]}");
            for end in 0..packed.len() {
                assert_eq!(unpack(packing, 1_000, &[&packed[..end]]).0, Err(Code::BodyNotPacked), "{packing:?} {end}");
            }
            // A second member, and any other byte, in the same piece or later.
            for more in [&packed[..], b"\0", b"{}"] {
                let both = [&packed, more].concat();
                assert_eq!(unpack(packing, 1_000, &[&both]).0, Err(Code::BodyNotPacked));
                assert_eq!(unpack(packing, 1_000, &[&packed, more]).0, Err(Code::BodyNotPacked));
            }
            // The digest of what was packed.
            let at = packed.len() - if packing == Packing::Gzip { 8 } else { 4 };
            let mut damaged = packed.clone();
            damaged[at] ^= 1;
            assert_eq!(unpack(packing, 1_000, &[&damaged]).0, Err(Code::BodyNotPacked));
            let other = if packing == Packing::Gzip { Packing::Deflate } else { Packing::Gzip };
            assert_eq!(unpack(other, 1_000, &[&packed]).0, Err(Code::BodyNotPacked));
            assert_eq!(unpack(packing, 1_000, &[b"{\"model\":\"m\"}"]).0, Err(Code::BodyNotPacked));
        }
    }

    /// `a` behind so many blocks that say nothing (RFC 1951, stored ones of no length).
    fn behind_empty_blocks(count: usize) -> Vec<u8> {
        [&[0x78, 0x9c][..], &b"\0\0\0\xff\xff".repeat(count), b"\x01\x01\0\xfe\xffa\0\x62\0\x62"].concat()
    }

    #[test]
    fn what_makes_nothing_is_not_read_on() {
        let unpack = |blocks| unpack(Packing::Deflate, 1 << 20, &[&behind_empty_blocks(blocks)]).0;
        assert_eq!(unpack(20_000), Err(Code::BodyNotPacked));
        // Some are in any stream that was flushed.
        assert_eq!(unpack(10_000), Ok(Bytes::from_static(b"a")));
    }

    #[test]
    fn a_gzip_head_is_short() {
        let text = b"{\"model\":\"m\",\"messages\":[]}";
        let with = |name: &[u8], extra: &[u8]| {
            let mut builder = flate2::GzBuilder::new();
            if !name.is_empty() {
                builder = builder.filename(name).comment(name);
            }
            if !extra.is_empty() {
                builder = builder.extra(extra);
            }
            let mut encoder = builder.write(Vec::new(), Compression::best());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        for (name, extra, is_taken) in
            [(10, 0, true), (400, 0, true), (600, 0, false), (70_000, 0, false), (0, 1, false), (0, 60_000, false)]
        {
            let packed = with(&vec![b'a'; name], &vec![b'b'; extra]);
            for size in [1, 3, 4, 100, packed.len()] {
                let pieces: Vec<&[u8]> = packed.chunks(size).collect();
                let expected = if is_taken { Ok(Bytes::from_static(text)) } else { Err(Code::BodyNotPacked) };
                assert_eq!(unpack(Packing::Gzip, 1_000, &pieces).0, expected, "{name} {extra} {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back_however_it_is_cut(
            text in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 255]), 0..5_000),
            repeat in 1_usize..60,
            size in 1_usize..4_000,
            is_gzip: bool,
        ) {
            let packing = if is_gzip { Packing::Gzip } else { Packing::Deflate };
            let text = text.repeat(repeat);
            let packed = pack(packing, &text);
            let pieces: Vec<&[u8]> = packed.chunks(size).collect();
            let (whole, most) = unpack(packing, text.len(), &pieces);
            prop_assert_eq!(whole, Ok(Bytes::from(text)));
            prop_assert!(most <= STEP + BEYOND);
        }

        #[test]
        fn any_bytes_are_refused_or_unpacked_within_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            is_gzip: bool,
        ) {
            let packing = if is_gzip { Packing::Gzip } else { Packing::Deflate };
            let mut packed = pack(packing, &bytes);
            for (at, flip) in &flips {
                let at = at.index(packed.len());
                packed[at] ^= flip;
            }
            for bytes in [bytes, packed] {
                match unpack(packing, 200, &[&bytes]).0 {
                    Ok(whole) => prop_assert!(whole.len() <= 200),
                    Err(code) => prop_assert!(matches!(code, Code::BodyNotPacked | Code::BodyTooLarge)),
                }
            }
        }
    }
}
