//! One order: which names, the answers to the authority's questions, and a certificate for a new key.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::challenges::{Challenges, Offered};
use super::plan::DomainName;
use super::{AcmeError, plain};
use crate::tls::TlsError;

/// How long the authority may take to look, and to issue.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// A new order for these names.
pub(super) async fn begin(account: &Account, domains: &[DomainName]) -> Result<Order, Error> {
    let names: Vec<Identifier> = domains.iter().map(|name| Identifier::Dns(name.as_str().to_owned())).collect();
    account.new_order(&NewOrder::new(&names)).await
}

/// Key and chain of a certificate for these names, in one PEM text.
pub(super) async fn run(
    mut order: Order,
    domains: &[DomainName],
    challenges: &Challenges,
) -> Result<Zeroizing<String>, AcmeError> {
    let offered = answer(&mut order, domains, challenges).await?;
    let status = match order.poll_ready(&POLL).await {
        Ok(status) => status,
        // It says why at the question, if anywhere.
        Err(Error::Api(problem)) => return Err(refusal(&mut order).await.unwrap_or(Error::Api(problem).into())),
        Err(error) => return Err(error.into()),
    };
    drop(offered);
    if status != OrderStatus::Ready {
        return Err(refusal(&mut order).await.unwrap_or(Error::Str("a certificate: the order is refused").into()));
    }
    let (key, request) = request(domains).map_err(|_| TlsError::Make)?;
    order.finalize_csr(&request).await?;
    let chain = order.poll_certificate(&POLL).await?;
    Ok(Zeroizing::new(format!("{}{chain}", key.as_str())))
}

/// Lets the authority look at each name that it is not sure of already.
async fn answer(order: &mut Order, domains: &[DomainName], challenges: &Challenges) -> Result<Vec<Offered>, AcmeError> {
    let mut offered = Vec::new();
    let mut questions = order.authorizations();
    while let Some(question) = questions.next().await {
        let mut question = question?;
        let name = question.identifier().to_string();
        if !domains.iter().any(|domain| domain.as_str() == name) {
            return Err(AcmeError::OtherNames);
        }
        match question.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            status => return Err(AcmeError::Refused { name, why: format!("{status:?}") }),
        }
        let Some(mut challenge) = question.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError::NoChallenge { name });
        };
        let digest = challenge.key_authorization().digest();
        let digest = digest.as_ref().try_into().map_err(|_| TlsError::Make)?;
        offered.push(challenges.offer(&name, digest)?);
        challenge.set_ready().await?;
    }
    Ok(offered)
}

/// What the authority did not like, if it says so.
async fn refusal(order: &mut Order) -> Option<AcmeError> {
    let mut questions = order.authorizations();
    while let Some(question) = questions.next().await {
        let mut question = question.ok()?;
        question.refresh().await.ok()?;
        if let Some(problem) = question.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            let (name, why) = (question.identifier().to_string(), plain(&problem.to_string()));
            return Some(AcmeError::Refused { name, why });
        }
    }
    None
}

/// A new key in PEM form, and the request for its certificate.
fn request(domains: &[DomainName]) -> Result<(Zeroizing<String>, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let names: Vec<String> = domains.iter().map(|name| name.as_str().to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((Zeroizing::new(key.serialize_pem()), request.der().to_vec()))
}
