//! Issues a key, checks it, rotates it, and shows what each step costs.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keys::{
    InferenceScopes, KeyLimits, MemoryKeyStore, NewKey, Operation, Peppers, Principal, Scopes, Terms, Verifier,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let verifier = Verifier::builder(Arc::new(MemoryKeyStore::new()), Peppers::generate()?).build()?;
    let issuer = verifier.issuer();
    let limits = KeyLimits {
        requests: Some("5/second burst 10".parse()?),
        tokens: Some("100000/day".parse()?),
        ..KeyLimits::default()
    };
    let terms = Terms::new(Scopes::Inference(InferenceScopes::new(["gpt-*"], [Operation::Chat])?)).limits(limits);
    let key = issuer.issue(&Principal::system(), NewKey::new("billing service", terms), now).await?;
    println!("made {}; its holder gets {} characters", key.record().id, key.secret().len());
    let from = "192.0.2.1".parse()?;
    for presented in [key.secret(), key.secret(), "sk-1234"] {
        let start = Instant::now();
        let verified = verifier.verify(presented, from, now).await;
        println!("{:>10.1?}  {verified:?}", start.elapsed());
    }
    let newer = issuer.rotate(&Principal::system(), &key.record().id, Duration::from_secs(3_600), now).await?;
    let old = verifier.verify(key.secret(), from, now).await?;
    println!("{} replaces it; it works until {:?}", newer.record().id, old.expires_at());
    Ok(())
}
