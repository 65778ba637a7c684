//! A record is proved to somebody who has neither the log nor trust in who keeps it: a clinic records who read a
//! patient's file, and the patient checks with the key alone. No gateway is needed for it.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;

use audit::{Act, Checkpoint, Growth, Log, Proof, SegmentFile, SigningKey, VerifyingKey, prove, prove_growth, verify};

/// What the clinic hands over.
struct Evidence {
    record: String,
    proof: String,
    growth: String,
}

async fn clinic(folder: &Path, key: SigningKey, earlier: &str) -> Result<Evidence, Box<dyn Error>> {
    let verifying = key.verifying_key();
    let log = Log::open(SegmentFile::open(folder)?, key, "clinic/ward-3").await?;
    for n in 0..1_000 {
        let mut act = Act::new(format!("visit-{n}"), 1_800_000_000_000 + n);
        act.act = "file.read".to_owned();
        act.target = Some(format!("patient-{}", n % 50));
        act.ok = true;
        log.append(&act.into()).await?;
    }
    log.close().await?;
    let (index, _) = audit::find_indexed(folder, "visit-777")?.pop().ok_or("no such visit")?;
    let (record, proof) = prove(folder, &verifying, &[index])?.pop().ok_or("no proof")?;
    let growth = prove_growth(folder, &verifying, &Checkpoint::open(earlier, &verifying)?)?;
    Ok(Evidence { record, proof: proof.to_string(), growth: growth.to_string() })
}

/// Knows the clinic's key, and a checkpoint it saw once.
fn patient(key: &str, earlier: &str, evidence: &Evidence) -> Result<(), Box<dyn Error>> {
    let key: VerifyingKey = key.parse()?;
    let checkpoint = evidence.proof.parse::<Proof>()?.check(evidence.record.as_bytes(), &key)?.clone();
    println!("recorded among {} in {}: {}", checkpoint.size(), checkpoint.origin(), evidence.record);
    let earlier = Checkpoint::open(earlier, &key)?;
    let newer = evidence.growth.parse::<Growth>()?.check(&earlier, &key)?.clone();
    println!("nothing was changed since there were {} records; now {}", earlier.size(), newer.size());
    let forged = evidence.record.replace("file.read", "file.left");
    println!("a forged record: {:?}", evidence.proof.parse::<Proof>()?.check(forged.as_bytes(), &key));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("audit-example-{}", std::process::id()));
    let (trail, key_file) = (folder.join("trail"), folder.join("key"));
    std::fs::create_dir(&folder)?;
    let key = SigningKey::load_or_create(&key_file)?;
    let verifying = key.verifying_key();
    let log = Log::open(SegmentFile::open(&trail)?, key, "clinic/ward-3").await?;
    log.append(&Act::new("opening", 1_799_999_999_999).into()).await?;
    let earlier = log.checkpoint().await?.to_string();
    log.close().await?;
    let evidence = clinic(&trail, SigningKey::load_or_create(&key_file)?, &earlier).await?;
    patient(&verifying.to_string(), &earlier, &evidence)?;
    // And who has the files finds every change of them.
    let file = trail.join("00000000000000000000.jsonl");
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace("visit-5\"", "visit-X\""))?;
    println!("the files after a change: {:?}", verify(&trail, &verifying).map(|verified| verified.records));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
