//! Cleans standard input as it comes: tokens and secrets are removed before a byte is written.
//!
//! `printf 'hi <|im_start|>glpat-%s' a1b2c3d4e5f6g7h8i9j0 | cargo run -p sanitize --example stream_cleaning`

use std::io::{self, BufRead as _, Write as _};

use sanitize::{Action, ControlTokens, Sanitizer, Secrets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sanitizer = Sanitizer::builder()
        .detector(ControlTokens::new(), Action::Redact)
        .detector(Secrets::new(), Action::Redact)
        .max_bytes(4096)
        .build()?;

    let mut stream = sanitizer.stream();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        out.write_all(stream.push(&line?)?.as_bytes())?;
        out.write_all(stream.push("\n")?.as_bytes())?;
        out.flush()?;
    }
    out.write_all(stream.finish()?.as_bytes())?;

    for finding in stream.findings() {
        writeln!(io::stderr(), "{} {:?}", finding.rule(), finding.range())?;
    }
    Ok(())
}
