//! The data folder: private to its owner, held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The data folder, held until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The data folder cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("{path} is in use by another process")]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// A secret is missing beside the data that was made with it.
    #[error("{secret} is missing, but {data} belongs to it: put it back, or move {data} away to begin anew")]
    Orphan {
        /// The data.
        data: PathBuf,
        /// The secret.
        secret: PathBuf,
    },
    /// It cannot be made or opened.
    #[error("{path}: {source}")]
    File {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder with mode 0700 if need be, and takes hold of it.
    ///
    /// # Errors
    /// [`DataDirError`] when another process holds it, or it cannot be made.
    pub fn hold(path: &Path) -> Result<Self, DataDirError> {
        let file = |source| DataDirError::File { path: path.to_owned(), source };
        make_private(path).map_err(file)?;
        close_to_others(path).map_err(file)?;
        let path = path.canonicalize().map_err(file)?;
        let lock = private_options().create(true).truncate(false).open(path.join("lock")).map_err(file)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(file(source)),
        }
    }

    /// The folder's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes where the admin listener is, for the command line.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_admin(&self, address: std::net::SocketAddr) -> io::Result<()> {
        std::fs::write(admin_note(&self.path), address.to_string())
    }
}

/// A secret is made when there is nothing yet. Beside data that was made with it, a new one would
/// make that data useless without a word; a trail that is gone must not begin anew without one.
pub(crate) fn refuse_orphan(data: &Path, secret: &Path) -> Result<(), DataDirError> {
    match data.exists() && !secret.exists() {
        true => Err(DataDirError::Orphan { data: data.to_owned(), secret: secret.to_owned() }),
        false => Ok(()),
    }
}

/// Where the admin listener of the process that holds the folder is.
pub(crate) fn admin_address(path: &Path) -> Option<std::net::SocketAddr> {
    std::fs::read_to_string(admin_note(path)).ok()?.trim().parse().ok()
}

fn admin_note(path: &Path) -> PathBuf {
    path.join("admin-address")
}

/// Makes a folder for its owner alone, unless it is there.
#[cfg(unix)]
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A folder that was there before may be open to others: it is closed when it is empty or ours, and
/// refused when it is somebody's.
#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if std::fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    if path.join("lock").exists() || std::fs::read_dir(path)?.next().is_none() {
        return std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
    }
    Err(io::Error::other("others than the owner may look into this folder, and it is not empty"))
}

#[cfg(not(unix))]
fn close_to_others(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a folder, unless it is there.
#[cfg(not(unix))]
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Writes a file that must not exist yet, readable by its owner only if it is a secret.
pub(crate) fn write_new(path: &Path, bytes: &[u8], is_secret: bool) -> io::Result<()> {
    let mut file = make_new(path, is_secret)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes a file of the owner's in place of what stands there, all of it or nothing.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = private_options().create(true).truncate(true).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// Makes an empty file that must not exist yet, readable by its owner only if it will hold a secret.
pub(crate) fn make_new(path: &Path, is_secret: bool) -> io::Result<File> {
    let mut options = if is_secret { private_options() } else { OpenOptions::new() };
    options.write(true).create_new(true).open(path)
}
