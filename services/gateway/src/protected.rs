//! Texts that answers must not repeat: from a file of `portcullis corpus build` to a detector.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use privacy::{Protected, ProtectedSecret};
use sanitize::{Detector, Finding, Label, Normalized, Severity};
use zeroize::Zeroizing;

use crate::config::{DisclosureSettings, InvalidSettings};

/// The rule that finds them.
pub(crate) const RULE: &str = "protected.passage";
/// Most bytes from the first of a passage to where it is told; what is written wider is not seen.
const WINDOW: usize = 192;

/// Passages of protected texts. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ProtectedTexts(Arc<Protected>);

impl ProtectedTexts {
    /// Reads a file. `at` is the setting that names it.
    ///
    /// # Errors
    /// [`InvalidSettings`] when the file is none, or was made with another secret.
    pub(crate) fn read(at: &str, file: &Path, disclosure: &DisclosureSettings) -> Result<Self, InvalidSettings> {
        let wrong = |problem: String| InvalidSettings::new(at, format!("{}: {problem}", file.display()));
        let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
        let secret = secret(at, disclosure)?;
        let protected = Protected::read(BufReader::new(opened), &secret).map_err(|error| wrong(error.to_string()))?;
        Ok(Self(Arc::new(protected)))
    }
}

/// What protected texts are hashed with: it follows from the secret of `[disclosure]`.
///
/// # Errors
/// [`InvalidSettings`] when there is none.
pub(crate) fn secret(at: &str, settings: &DisclosureSettings) -> Result<ProtectedSecret, InvalidSettings> {
    let secret: Zeroizing<[u8; 32]> = settings.derive(at, "portcullis 2026-11-26 protected texts")?;
    Ok(ProtectedSecret::from_bytes(*secret))
}

impl Detector for ProtectedTexts {
    fn label(&self) -> Label {
        Label::Custom("protected")
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        self.0.each_passage(text.original(), |range| {
            if range.len() <= WINDOW {
                found.push(Finding::new(self.label(), RULE, Severity::High).at(range));
            }
        });
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let start = tail.floor_char_boundary(tail.len().saturating_sub(WINDOW));
        let tail = tail.get(start..).unwrap_or_default();
        start + self.0.open_from(tail)
    }
}
