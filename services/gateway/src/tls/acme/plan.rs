//! What the settings say of ACME, checked: nothing is asked of an authority with names or an address it would refuse.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::ExternalAccountKey;
use reqwest::Url;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use crate::config::{AcmeSettings, InvalidSettings, ServerSettings};
use crate::tls::certificate::authorities;

/// Most names of one certificate, which is what Let's Encrypt takes.
const MAX_DOMAINS: usize = 100;

/// Which certificate is wanted, and of whom.
pub(crate) struct Plan {
    domains: Vec<DomainName>,
    /// As a URI.
    contact: Option<String>,
    directory: Url,
    /// Whom to trust at the directory; the system's authorities, if absent.
    roots: Option<RootCertStore>,
    binding: Option<Binding>,
}

/// An account that a customer of the authority has already.
struct Binding {
    id: String,
    key: Zeroizing<Vec<u8>>,
}

/// The full name of a host, in small letters, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DomainName(String);

impl DomainName {
    fn parse(name: &str) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(is_plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.contains('*') {
            return Err("a wildcard cannot be shown to be ours by TLS-ALPN-01; name each host");
        }
        if !name.is_ascii() {
            return Err("expected the form of the name in ASCII, which begins with xn--");
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err("expected names of hosts, such as gateway.example.com");
        }
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err("expected names of hosts, not addresses");
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Plan {
    /// What the settings ask for; nothing, if they name no domains.
    ///
    /// # Errors
    /// [`InvalidSettings`] for the first setting that cannot be used, or contradicts another.
    pub(crate) fn of(server: &ServerSettings) -> Result<Option<Self>, InvalidSettings> {
        let settings = &server.acme;
        if settings.domains.is_empty() {
            return Ok(None);
        }
        if !server.tls_cert.as_os_str().is_empty() {
            return Err(wrong("domains", "tls_cert is set as well: a listener has one certificate"));
        }
        if server.danger_plaintext_behind_proxy {
            return Err(wrong("domains", "danger_plaintext_behind_proxy is set: there is no TLS here"));
        }
        if !settings.agree_to_terms {
            let problem = format!("set it to true once you agree to the terms of service of {}", settings.directory);
            return Err(wrong("agree_to_terms", &problem));
        }
        Ok(Some(Self {
            domains: domains(&settings.domains)?,
            contact: contact(&settings.contact)?,
            directory: directory(&settings.directory)?,
            roots: roots(&settings.directory_ca)?,
            binding: binding(settings)?,
        }))
    }

    pub(super) fn domains(&self) -> &[DomainName] {
        &self.domains
    }

    pub(super) fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    pub(super) fn directory(&self) -> &str {
        self.directory.as_str()
    }

    pub(super) fn roots(&self) -> Option<&RootCertStore> {
        self.roots.as_ref()
    }

    pub(super) fn binding_id(&self) -> Option<&str> {
        self.binding.as_ref().map(|binding| binding.id.as_str())
    }

    pub(super) fn binding(&self) -> Option<ExternalAccountKey> {
        self.binding.as_ref().map(|binding| ExternalAccountKey::new(binding.id.clone(), &binding.key))
    }
}

fn wrong(at: &str, problem: &str) -> InvalidSettings {
    InvalidSettings::new(format!("server.acme.{at}"), problem)
}

fn domains(names: &[String]) -> Result<Vec<DomainName>, InvalidSettings> {
    if names.len() > MAX_DOMAINS {
        return Err(wrong("domains", "expected at most 100 names"));
    }
    let mut domains = Vec::new();
    for name in names {
        let domain = DomainName::parse(name).map_err(|problem| wrong("domains", problem))?;
        if domains.contains(&domain) {
            return Err(wrong("domains", "a name stands there twice"));
        }
        domains.push(domain);
    }
    Ok(domains)
}

fn contact(address: &str) -> Result<Option<String>, InvalidSettings> {
    if address.is_empty() {
        return Ok(None);
    }
    // RFC 8555, 7.3: one address, without the fields that mailto: may have.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'?' | b':' | b'<' | b'>' | b'%');
    let is_address = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && DomainName::parse(host).is_ok() && address.bytes().all(is_plain)
    });
    if !is_address {
        return Err(wrong("contact", "expected an address for mail, such as operator@example.com"));
    }
    Ok(Some(format!("mailto:{address}")))
}

fn directory(text: &str) -> Result<Url, InvalidSettings> {
    let url: Option<Url> = text.parse().ok();
    let is_usable =
        |url: &Url| url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none();
    url.filter(is_usable).ok_or_else(|| wrong("directory", "expected an https address"))
}

fn roots(path: &Path) -> Result<Option<RootCertStore>, InvalidSettings> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    authorities(path).map(Some).map_err(|error| wrong("directory_ca", &error.to_string()))
}

fn binding(settings: &AcmeSettings) -> Result<Option<Binding>, InvalidSettings> {
    let id = &settings.account_id;
    match settings.account_key()? {
        None if id.is_empty() => Ok(None),
        None => Err(wrong("account_key", "account_id and account_key go together")),
        Some(_) if id.is_empty() => Err(wrong("account_id", "account_id and account_key go together")),
        Some(text) => {
            let key = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            let key = key.map_err(|_| wrong("account_key", "expected a key in base64url"))?;
            Ok(Some(Binding { id: id.clone(), key: Zeroizing::new(key) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DomainName;

    #[test]
    fn names_are_names_of_hosts() {
        for name in ["gateway.example.com", "GATEWAY.example.com", "xn--bcher-kva.example", "localhost", "a1.b-2.c"] {
            assert_eq!(DomainName::parse(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
        let long = format!("{}.example", "a".repeat(64));
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "*.example.com",
            "*",
            "a b",
            "a_b.example",
            "-a.example",
            "a-.example",
            "b\u{fc}cher.example",
            "192.0.2.1",
            "2001:db8::1",
            "a.example:443",
            "https://a.example",
            "a\0.example",
            &long,
        ] {
            assert!(DomainName::parse(name).is_err(), "{name:?}");
        }
    }
}
