//! A file of protected passages is read as it was written, and anything else is refused.

use std::io::{self, Read, Write};

use privacy::{Protected, ProtectedError, ProtectedSecret};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::protected::words;

fn secret() -> ProtectedSecret {
    ProtectedSecret::from_bytes([9; 32])
}

fn written(count: usize) -> Vec<u8> {
    let mut builder = Protected::builder(1 << 16, &secret()).unwrap();
    builder.add_text(&words(1, count)).unwrap();
    let mut file = Vec::new();
    builder.finish().write(&mut file).unwrap();
    file
}

fn refused(file: &[u8]) -> ProtectedError {
    Protected::read(file, &secret()).unwrap_err()
}

#[test]
fn a_file_finds_what_was_found_before() {
    let text = words(1, 5_000);
    let mut builder = Protected::builder(1 << 20, &secret()).unwrap();
    builder.add_text(&text).unwrap();
    let before = builder.finish();
    let mut file = Vec::new();
    before.write(&mut file).unwrap();
    let after = Protected::read(file.as_slice(), &secret()).unwrap();
    let answer = format!("{} {} {}", words(2, 90), &text[500..700], words(3, 90));
    assert_eq!(after.matches(&answer), before.matches(&answer));
    assert_eq!(after.matches(&answer).len(), 1);
    assert_eq!((after.fingerprints(), after.size()), (before.fingerprints(), before.size()));
    let mut again = Vec::new();
    after.write(&mut again).unwrap();
    assert!(again == file);
}

#[test]
fn a_file_of_nothing_finds_nothing() {
    let mut file = Vec::new();
    Protected::builder(0, &secret()).unwrap().finish().write(&mut file).unwrap();
    let protected = Protected::read(file.as_slice(), &secret()).unwrap();
    assert!(protected.matches(&words(1, 1_000)).is_empty());
}

#[test]
fn two_files_of_a_text_share_no_hashes() {
    let (one, other) = (written(1_000), written(1_000));
    assert_eq!(one.len(), other.len());
    let is_same = |(one, other): &(&[u8], &[u8])| one == other;
    assert_eq!(one[80..].chunks(64).zip(other[80..].chunks(64)).filter(is_same).count(), 0);
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    let file = written(1_000);
    let with = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] ^= byte;
        file
    };
    assert_eq!(refused(b""), ProtectedError::Magic);
    assert_eq!(refused(b"%PDF-1.7 and much more of it"), ProtectedError::Magic);
    assert_eq!(refused(&with(8, 2)), ProtectedError::Version(3));
    // Other settings are other versions.
    assert_eq!(refused(&with(10, 1)), ProtectedError::Version(1));
    assert_eq!(refused(&with(20, 1)), ProtectedError::Secret);
    assert_eq!(refused(&with(200, 1)), ProtectedError::Checksum);
    assert_eq!(refused(&with(file.len() - 1, 1)), ProtectedError::Checksum);
    assert_eq!(refused(&[&file[..], b"\n"].concat()), ProtectedError::Long);
    for other in [ProtectedSecret::danger_none(), ProtectedSecret::from_bytes([8; 32])] {
        assert_eq!(Protected::read(file.as_slice(), &other).unwrap_err(), ProtectedError::Secret);
    }
    // As many blocks as a number can say.
    let mut huge = file.clone();
    huge[56..64].fill(0xff);
    assert_eq!(refused(&huge), ProtectedError::Secret);
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let file = written(300);
    for end in 0..file.len() {
        let expected = if end < 8 { ProtectedError::Magic } else { ProtectedError::Short };
        assert_eq!(refused(&file[..end]), expected, "{end}");
    }
}

#[test]
fn every_bit_counts() {
    let file = written(300);
    for bit in 0..8 * file.len() {
        let mut file = file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        refused(&file);
    }
}

/// A disk that fails.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_fails_is_told() {
    let denied = ProtectedError::Io(io::ErrorKind::PermissionDenied);
    assert_eq!(Protected::read(Broken, &secret()).unwrap_err(), denied);
    let mut builder = Protected::builder(100, &secret()).unwrap();
    assert_eq!(builder.add_reader(Broken), Err(denied));
    assert_eq!(builder.finish().write(Broken), Err(ProtectedError::Io(io::ErrorKind::StorageFull)));
}

proptest! {
    #[test]
    fn whatever_is_changed_is_refused(changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..20)) {
        let file = written(300);
        let mut changed = file.clone();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        prop_assert!(changed == file || Protected::read(changed.as_slice(), &secret()).is_err());
    }
}
