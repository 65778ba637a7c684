//! The file of protected passages, `.pcf`.
//!
//! | bytes | what, numbers little-endian |
//! |---|---|
//! | 8 | magic |
//! | 2, 1, 1, 4 | version, letters hashed together, hashes of which one is taken, zeros |
//! | 32 | salt |
//! | 8, 8 | how many fingerprints, how many blocks |
//! | 16 | the first half of the keyed BLAKE3 of all before |
//! | 64 each | blocks of the filter |
//! | 32 | the keyed BLAKE3 of all before |

use std::io::{Read, Write};

use super::error::ProtectedError;
use super::filter::{BLOCK, Filter};
use super::prints::{GRAM, WINDOW};
use super::secret::{Keys, ProtectedSecret, Salt};
use super::{DEFAULT_LEAST, Protected};

/// As in PNG, it shows a transfer that took the file for text.
const MAGIC: [u8; 8] = *b"\x89PCF\r\n\x1a\n";
const VERSION: u16 = 1;
/// How many blocks are read at once, 1 MiB.
const AT_ONCE: u64 = (1 << 20) / BLOCK as u64;

impl Protected {
    /// Writes the file: 64 bytes for 42 fingerprints or fewer.
    ///
    /// # Errors
    /// [`ProtectedError::Io`].
    pub fn write(&self, mut writer: impl Write) -> Result<(), ProtectedError> {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            writer.write_all(bytes)?;
            Ok::<_, ProtectedError>(hasher.finalize())
        };
        let mut head = Vec::new();
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend([GRAM as u8, WINDOW as u8, 0, 0, 0, 0]);
        head.extend(self.salt.0);
        head.extend(self.prints.to_le_bytes());
        head.extend((self.filter.len() as u64).to_le_bytes());
        let check = put(&head)?;
        let (check, _) = check.as_bytes().split_at(16);
        put(check)?;
        let mut buffer = Vec::with_capacity(1 << 20);
        for block in self.filter.bytes() {
            buffer.extend(block);
            if buffer.len() == 1 << 20 {
                put(&buffer)?;
                buffer.clear();
            }
        }
        let sum = put(&buffer)?;
        writer.write_all(sum.as_bytes())?;
        Ok(writer.flush()?)
    }

    /// Reads a file into memory, as large as the file is. Never takes more memory than was read, whatever the file says.
    ///
    /// # Errors
    /// Whatever is not exactly a file that was written with this secret.
    pub fn read(mut reader: impl Read, secret: &ProtectedSecret) -> Result<Self, ProtectedError> {
        let magic: [u8; 8] = array(&mut reader).map_err(|error| match error {
            ProtectedError::Short => ProtectedError::Magic,
            error => error,
        })?;
        if magic != MAGIC {
            return Err(ProtectedError::Magic);
        }
        let settings: [u8; 8] = array(&mut reader)?;
        let [low, high, gram, window, zeros @ ..] = settings;
        let version = u16::from_le_bytes([low, high]);
        if version != VERSION || usize::from(gram) != GRAM || usize::from(window) != WINDOW || zeros != [0; 4] {
            return Err(ProtectedError::Version(version));
        }
        let salt = Salt(array(&mut reader)?);
        let counts: [[u8; 8]; 2] = [array(&mut reader)?, array(&mut reader)?];
        let keys = Keys::new(&salt, secret);
        let mut hasher = blake3::Hasher::new_keyed(&keys.mac);
        hasher.update(&magic).update(&settings).update(&salt.0).update(counts.as_flattened());
        let check: [u8; 16] = array(&mut reader)?;
        if !hasher.finalize().as_bytes().starts_with(&check) {
            return Err(ProtectedError::Secret);
        }
        hasher.update(&check);
        let [prints, blocks] = counts.map(u64::from_le_bytes);
        let filter = blocks_of(&mut reader, blocks, &mut hasher)?;
        // blake3 compares in constant time.
        if hasher.finalize() != array::<32>(&mut reader)? {
            return Err(ProtectedError::Checksum);
        }
        if reader.read(&mut [0])? != 0 {
            return Err(ProtectedError::Long);
        }
        Ok(Self { salt, mac: keys.mac, key: keys.hash, filter, prints, least: DEFAULT_LEAST })
    }
}

fn blocks_of(reader: &mut impl Read, blocks: u64, hasher: &mut blake3::Hasher) -> Result<Filter, ProtectedError> {
    let mut filter = Filter::empty();
    let mut buffer = Vec::new();
    let mut left = blocks;
    while left > 0 {
        let now = left.min(AT_ONCE);
        buffer.clear();
        let size = now * BLOCK as u64;
        if reader.by_ref().take(size).read_to_end(&mut buffer)? as u64 != size {
            return Err(ProtectedError::Short);
        }
        hasher.update(&buffer);
        filter.extend(&buffer);
        left -= now;
    }
    Ok(filter)
}

fn array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], ProtectedError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
