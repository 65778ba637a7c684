//! Whose privacy is spent, and the names under which that is kept.

/// The unit of the ledger's buckets.
pub const NANO_RHO: &str = "nano_rho";

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data set is named by 1 to 64 letters, digits, dots, hyphens and underscores of ASCII")]
pub struct NoName;

/// The data behind one or several models. All models that were trained on the same data spend of one budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataSet(Box<str>);

impl DataSet {
    /// By its name.
    ///
    /// # Errors
    /// [`NoName`].
    pub fn new(name: &str) -> Result<Self, NoName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(is_plain);
        if is_name { Ok(Self(name.into())) } else { Err(NoName) }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket of all that is spent, whoever asks.
    pub fn bucket(&self) -> String {
        format!("{{dp:{}}}", self.0)
    }

    /// The bucket of what one key, or its family, spends. It is charged in one call with [`bucket`](Self::bucket),
    /// whose slot of a Redis Cluster it shares.
    pub fn bucket_of(&self, key: &str) -> String {
        format!("{{dp:{}}}:{key}", self.0)
    }
}
