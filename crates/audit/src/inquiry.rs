//! What is asked of a log beside whether it is whole, and the answers, gathered while its records go by.

use crate::key::VerifyingKey;
use crate::path::Path;
use crate::proof::{Growth, Proof};
use crate::remove::Removal;
use crate::start::{Mark, Start};
use crate::verification::{Fault, Verification, Verified};
use crate::verify::VerifyError;

/// What is asked of a log. [`examine`](crate::examine()) asks it of a directory; where records are kept elsewhere, an
/// [`Examination`] takes them one by one.
#[derive(Debug, Clone)]
pub struct Inquiry<'a> {
    key: &'a VerifyingKey,
    mark: Option<&'a Mark>,
    kept: &'a [&'a str],
    proved: &'a [u64],
    grown_from: Option<u64>,
    removed_below: Option<u64>,
}

/// Holds records, one after the other, against what was signed, and answers an [`Inquiry`].
#[derive(Debug)]
pub struct Examination<'a> {
    inquiry: Inquiry<'a>,
    verification: Verification,
    records: Vec<(u64, String)>,
    removal: Option<Removal>,
}

/// What an [`Examination`] has found.
#[non_exhaustive]
#[derive(Debug)]
pub struct Found {
    /// The log is what was signed.
    pub verified: Verified,
    /// The records that were to be proved, as they are stored, in the order in which they were asked for.
    pub proved: Vec<(String, Proof)>,
    /// What may be removed, if it was asked for and is signed.
    pub removal: Option<Removal>,
    pub(crate) growth: Option<Growth>,
}

impl<'a> Inquiry<'a> {
    /// Whether the log is whole. The key is any of those that signed it; the newest proves most.
    pub fn new(key: &'a VerifyingKey) -> Self {
        Self { key, mark: None, kept: &[], proved: &[], grown_from: None, removed_below: None }
    }

    /// Only of what was added since this mark.
    #[must_use]
    pub fn since(self, mark: &'a Mark) -> Self {
        Self { mark: Some(mark), ..self }
    }

    /// Also whether it is the log of these checkpoints, which were kept elsewhere, as signed notes.
    #[must_use]
    pub fn against(self, kept: &'a [&'a str]) -> Self {
        Self { kept, ..self }
    }

    /// Also for proofs of the records of these indexes.
    #[must_use]
    pub fn proving(self, indexes: &'a [u64]) -> Self {
        Self { proved: indexes, ..self }
    }

    /// Also for what [`Log::remove`](crate::Log::remove) takes, to remove all records before this one.
    #[must_use]
    pub fn removing_before(self, index: u64) -> Self {
        Self { removed_below: Some(index), ..self }
    }

    pub(crate) fn growing_from(self, size: u64) -> Self {
        Self { grown_from: Some(size), ..self }
    }

    /// Begins, with the stub of what was removed and the newest checkpoint, if there are any. They must be read before
    /// the records, so that what is written meanwhile comes after them; the stub first, so that the checkpoint covers it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn begin(&self, stub: Option<&str>, checkpoint: Option<&str>) -> Result<Examination<'a>, VerifyError> {
        let mut verification = Verification::begin(checkpoint, self.key)?;
        let stub = match stub.map(Start::read_stub) {
            Some(None) => return Err(Fault::Unsigned.into()),
            stub => stub.flatten(),
        };
        let removed = stub.as_ref().map_or(0, |stub| stub.note.size);
        let start = match self.mark {
            Some(mark) if mark.records() < removed => return Err(Fault::Before { first: removed }.into()),
            Some(mark) => Some(mark.0.clone()),
            None => stub,
        };
        if let Some(start) = start {
            verification = verification.go_on_from(start)?;
        }
        for note in self.kept {
            verification = verification.against(note)?;
        }
        let size = verification.want().unwrap_or_default();
        for index in self.proved.iter().copied() {
            if index < verification.next() {
                return Err(VerifyError::Before { first: verification.next() });
            }
            if index >= size {
                return Err(VerifyError::NotSigned { index });
            }
            verification.gather(Path::inclusion(index, size));
        }
        if let Some(old) = self.grown_from {
            verification.gather(Path::consistency(old.min(size), size));
        }
        let mut examination = Examination { inquiry: self.clone(), verification, records: Vec::new(), removal: None };
        examination.look();
        Ok(examination)
    }
}

impl Examination<'_> {
    /// Index of the next record: reading begins with it.
    pub fn next(&self) -> u64 {
        self.verification.next()
    }

    /// Takes the next record, as it is stored, with the index it is stored under.
    ///
    /// # Errors
    /// [`VerifyError`] when it is not the next, or no record.
    pub fn take(&mut self, index: u64, record: &[u8]) -> Result<(), VerifyError> {
        self.expect(index)?;
        Ok(self.push(record)?)
    }

    pub(crate) fn expect(&self, index: u64) -> Result<(), Fault> {
        self.verification.expect(index)
    }

    pub(crate) fn push(&mut self, record: &[u8]) -> Result<(), Fault> {
        let index = self.next();
        if self.inquiry.proved.contains(&index) {
            self.records.push((index, String::from_utf8_lossy(record).into_owned()));
        }
        self.verification.push(record)?;
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        if self.inquiry.removed_below == Some(self.next()) {
            self.removal = Some(Removal::new(self.verification.origin().to_owned(), &self.verification));
        }
    }

    /// Says what the records are, after the last one.
    ///
    /// # Errors
    /// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
    pub fn end(self) -> Result<Found, VerifyError> {
        let Self { inquiry, verification, records, removal } = self;
        let (verified, mut paths) = verification.finish()?;
        let checkpoint = &verified.checkpoint;
        let growth =
            inquiry.grown_from.map(|old| Growth::new(old, paths.pop().unwrap_or_default(), checkpoint.clone()));
        let record = |asked: &u64| records.iter().find(|(index, _)| index == asked).cloned();
        let proof = |((index, record), path)| (record, Proof::new(index, path, checkpoint.clone()));
        let proved = inquiry.proved.iter().filter_map(record).zip(paths).map(proof).collect();
        let is_covered = |removal: &Removal| (1..=verified.records).contains(&removal.records());
        Ok(Found { removal: removal.filter(is_covered), proved, growth, verified })
    }
}
