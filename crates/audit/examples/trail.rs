//! Writes a trail, tampers with it and looks.
#![expect(clippy::print_stdout, reason = "an example prints")]

use audit::{Act, Log, Record, SegmentFile, SigningKey};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("audit-example-{}", std::process::id()));
    let log = Log::open(SegmentFile::open(&folder)?, SigningKey::generate()?, "example/trail").await?;
    for n in 0..3 {
        let mut act = Act::new(format!("request-{n}"), n);
        act.act = "example".to_owned();
        println!("record {} is durable", log.append(&Record::Act(act)).await?.index());
    }
    log.close().await?;
    println!("{}", log.verifying_key());
    println!("{:?}", audit::verify(&folder, log.verifying_key()));
    let file = folder.join("00000001.jsonl");
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace("request-1", "request-X"))?;
    println!("{:?}", audit::verify(&folder, log.verifying_key()));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
