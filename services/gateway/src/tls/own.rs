//! A certificate of our own: made at the first start, signed by a small authority of its own, whose certificate is what
//! clients are told to trust. The authority's key is forgotten as soon as it has signed.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::tls::TlsError;

/// Makes an authority and a certificate for these names: `ca.pem`, `cert.pem`, `key.pem`.
pub(crate) fn make(folder: &Path, names: &[&str]) -> Result<(), TlsError> {
    let file = |path: &Path, source| TlsError::File { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
    let (authority, cert, key) = certificates(names).map_err(|_| TlsError::Make)?;
    // The key comes last: without it, whatever a crash left behind is made again.
    for (name, text, is_secret) in [("ca.pem", authority, false), ("cert.pem", cert, false), ("key.pem", key, true)] {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        crate::data_dir::write_new(&path, text.as_bytes(), is_secret).map_err(|source| file(&path, source))?;
    }
    Ok(())
}

fn certificates(names: &[&str]) -> Result<(String, String, String), rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.distinguished_name = named("Portcullis local authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("Portcullis");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((authority_pem, certificate.pem(), key.serialize_pem()))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
