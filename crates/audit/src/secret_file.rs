//! A file that holds a secret: made once, complete or not at all, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

/// Secrets are small; what is longer is another file.
const MAX_BYTES: u64 = 64 * 1024;

pub(crate) enum SecretFileError {
    /// Others than the owner may read it.
    Exposed,
    Io(io::Error),
}

impl From<io::Error> for SecretFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The text of the file; if there is none, it is made with what `make` gives. When two processes
/// start at once, one makes it and both read it.
pub(crate) fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> Result<Zeroizing<String>, SecretFileError> {
    match read(path) {
        Err(SecretFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            create(path, &make()?)?;
            read(path)
        }
        done => done,
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let file = fs::File::open(path)?;
    refuse_exposed(&file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn refuse_exposed(file: &fs::File) -> Result<(), SecretFileError> {
    use std::os::unix::fs::PermissionsExt;
    let is_private = file.metadata()?.permissions().mode() & 0o077 == 0;
    is_private.then_some(()).ok_or(SecretFileError::Exposed)
}

#[cfg(not(unix))]
fn refuse_exposed(_file: &fs::File) -> Result<(), SecretFileError> {
    Ok(())
}

/// Writes a neighbour and links it to its name, which fails if the name is taken by then.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", getrandom::u64().map_err(io::Error::from)?));
    let neighbour = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&neighbour).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&neighbour, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => sync_parent(path),
        }
    });
    fs::remove_file(&neighbour).and(written)
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}
