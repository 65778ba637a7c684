//! `portcullis corpus`: files of texts that answers must not repeat.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use privacy::Protected;

use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::protected;

#[derive(Debug, Subcommand)]
pub(super) enum CorpusCommand {
    /// Read texts and write what is needed to know them again; the texts themselves are not in it.
    Build(BuildArguments),
}

#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    /// The texts, in files of any size.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The file to write, for screening.output.protected_file.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// `portcullis corpus build`
pub(super) fn build(settings: &Settings, arguments: &BuildArguments) -> Result<(), Failure> {
    let secret = protected::secret("corpus build", &settings.disclosure).map_err(Failure::new)?;
    let mut opened = Vec::with_capacity(arguments.files.len());
    let mut room = 0_u64;
    for path in &arguments.files {
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        room = room.saturating_add(file.metadata().map_err(failed)?.len());
        opened.push((path, file));
    }
    let mut builder = Protected::builder(room, &secret).map_err(Failure::new)?;
    for (path, file) in opened {
        let failed = |error| Failure::new(format!("{}: {error}", path.display()));
        builder.add_reader(BufReader::new(file)).map_err(failed)?;
    }
    let (texts, bytes, short) = (builder.texts(), builder.bytes(), builder.too_short());
    let protected = builder.finish();
    let failed = |error: String| Failure::new(format!("{}: {error}", arguments.out.display()));
    let mut out = BufWriter::new(File::create(&arguments.out).map_err(|error| failed(error.to_string()))?);
    protected.write(&mut out).map_err(|error| failed(error.to_string()))?;
    out.flush().map_err(|error| failed(error.to_string()))?;
    let size = protected.size();
    print(&format!("{texts} texts, {bytes} bytes, {short} of them too short to be found; {size} bytes in memory"));
    Ok(())
}
