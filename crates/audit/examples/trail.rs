//! Writes a trail, tampers with it and looks.
#![expect(clippy::print_stdout, reason = "an example prints")]

use audit::{Act, Log, SegmentFile, SigningKey};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("audit-example-{}", std::process::id()));
    let key = SigningKey::generate()?;
    let verifier = key.verifying_key();
    let log = Log::open(SegmentFile::open(&folder)?, key, "example/trail").await?;
    for n in 0..3 {
        let mut act = Act::new(format!("request-{n}"), n);
        act.act = "example".to_owned();
        println!("record {} is durable", log.append(&act.into()).await?.index());
    }
    log.close().await?;
    println!("{verifier}");
    println!("{:?}", audit::verify(&folder, &verifier));
    let file = folder.join("00000000000000000000.jsonl");
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace("request-1", "request-X"))?;
    println!("{:?}", audit::verify(&folder, &verifier));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
