//! Certificates.

use std::fmt;

/// Whom a TLS connection trusts, and what it shows, in PEM. By default the roots of the platform, and nothing.
#[derive(Clone, Default)]
pub struct RedisTls {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Trusts these authorities only, not the platform's roots.
    #[must_use]
    pub fn ca(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(certificates.into());
        self
    }

    /// Shows this certificate, with its chain.
    #[must_use]
    pub fn client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ca.is_none() && self.client.is_none()
    }
}

impl fmt::Debug for RedisTls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ca, client) = (self.ca.is_some(), self.client.is_some());
        f.debug_struct("RedisTls").field("ca", &ca).field("client", &client).finish()
    }
}
