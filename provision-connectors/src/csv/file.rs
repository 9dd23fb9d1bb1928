//! Files: telling whether one changed, replacing one whole, locking one against other processes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use provision_core::{Effect, Error, Result};
use sha2::{Digest, Sha256};

use super::error;

/// What tells one state of a file from another. While a handle of the file is kept open its inode number is not given
/// to another file, so that a replaced file never looks like the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    /// The stamp of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// The stamp of the file that has this name now.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&fs::metadata(path)?))
    }

    /// The stamp of the file that has this name now; `None` if there is none.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::from_metadata(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn from_metadata(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { length: metadata.len(), modified: metadata.modified().ok(), inode }
    }
}

/// SHA-256 of a file's bytes in hexadecimal, and the stamp it had meanwhile.
pub(super) fn hash(path: &Path) -> Result<(String, Stamp)> {
    let read = || -> io::Result<(String, Stamp)> {
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((hex::encode(hasher.finalize()), stamp))
    };
    read().map_err(|error| error::io("read the file", path, error))
}

/// How long a lock is waited for, and how often it is tried.
const LOCK_TRIES: u32 = 2000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock next to `path`, waiting for other processes at most ten seconds. Dropping the file releases it, and
/// so does the end of the process.
pub(super) fn lock(path: &Path) -> Result<File> {
    let lock_path = sibling(path, "lock");
    let file = private_options()
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| error::io("open the lock file", &lock_path, error).with_effect(Effect::None))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(error::io("lock the file", &lock_path, error).with_effect(Effect::None));
            }
        }
    }
    Err(error::busy(&lock_path))
}

/// Replaces the file with `content`: written beside it, made durable, then renamed over it. A reader sees the old file
/// or the new one, whole. The caller holds the lock.
///
/// # Errors
/// Effect `None` up to the rename; `Unknown` when the rename could not be made durable.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<File> {
    let beside = sibling(path, "new");
    let fail = |doing: &str, error: io::Error| -> Error {
        error::io(doing, &beside, error).with_effect(Effect::None)
    };
    let mut file =
        private_options().truncate(true).open(&beside).map_err(|error| fail("create the file", error))?;
    let written = (|| -> io::Result<()> {
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()
    })();
    if let Err(error) = written {
        // Best effort: the next write truncates what is left of it.
        let _ = fs::remove_file(&beside);
        return Err(fail("write the file", error));
    }
    fs::rename(&beside, path).map_err(|error| fail("replace the file", error))?;
    sync_folder(path).map_err(|error| {
        error::io("make the replaced file durable", path, error).with_effect(Effect::Unknown)
    })?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

/// The folder a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `path` with a dot before its name and an ending of ours after it: hidden, in the same folder.
fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// The file a link leads to, so that replacing it does not replace the link.
pub(super) fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
