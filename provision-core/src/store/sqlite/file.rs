//! The store's file and its epoch file: made for the owner only, recognised when replaced.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::failure::{explain_io, unusable};
use super::mount::network_file_system;
use crate::error::Result;
use crate::runtime::Random;

/// How a SQLite file begins (SQLite file format, section 1.3.1).
const MAGIC: [u8; 16] = *b"SQLite format 3\0";
/// What follows the page size in a file without a write-ahead log (section 1.3.3).
const WITHOUT_LOG: u8 = 1;

/// The file of an open store.
#[derive(Clone, Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    identity: Identity,
}

#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

impl StoreFile {
    /// Makes the file, empty and for the owner only, unless it is there. SQLite gives the files beside it the same
    /// mode.
    pub(super) fn prepare(path: &Path) -> Result<Self> {
        let directory = directory(path);
        let absolute = directory
            .canonicalize()
            .map_err(|error| explain_io(error, "open the store's directory", directory))?;
        refuse_network(&absolute)?;
        // First the epoch file: a process that makes the store at this moment writes it last.
        let had_epoch = epoch_path(path).exists();
        let doing = "open the store's file";
        let length = match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(unusable("the store's path is no file: give another path")
                    .with_context("path", path.display().to_string()));
            }
            Ok(found) => {
                if found.len() > 0 {
                    refuse_harm(path)?;
                }
                found.len()
            }
            Err(error) if error.kind() == Io::NotFound => 0,
            Err(error) => return Err(explain_io(error, doing, path)),
        };
        if length == 0 && had_epoch {
            return Err(unusable(
                "the store's file is gone or empty, but its epoch file shows that there was a store: restore a \
                 backup, or remove the epoch file to begin with nothing",
            )
            .with_context("path", path.display().to_string()));
        }
        match create(path) {
            Ok(file) => {
                file.sync_all().map_err(|error| explain_io(error, doing, path))?;
                sync_directory(&absolute);
            }
            Err(error) if error.kind() == Io::AlreadyExists => {}
            Err(error) => return Err(explain_io(error, "create the store's file", path)),
        }
        let found = std::fs::metadata(path).map_err(|error| explain_io(error, doing, path))?;
        Ok(Self { path: path.to_owned(), identity: identity(&found) })
    }

    /// Refuses when the path no longer leads to the file that is open: what SQLite writes now would be lost.
    pub(super) fn still_there(&self) -> Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => Ok(()),
            _ => Err(unusable(
                "the store's file was removed or replaced while it was open: stop this process, put the right file \
                 in place, start again",
            )
            .with_context("path", self.path.display().to_string())),
        }
    }

    /// Bytes of the write-ahead log.
    pub(super) fn log_length(&self) -> u64 {
        std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |log| log.len())
    }

    /// Writes the epoch beside the store, if another is there or none. True when there was another: the store is a
    /// restored copy.
    pub(super) fn note_epoch(&self, epoch: &str, random: &dyn Random) -> Result<bool> {
        let path = epoch_path(&self.path);
        let noted = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == Io::NotFound => None,
            Err(error) => return Err(explain_io(error, "read the epoch file", &path)),
        };
        if noted.as_deref().map(str::trim) == Some(epoch) {
            return Ok(false);
        }
        let draft = beside(&path, &format!(".{}", random_name(random)?));
        let written = (|| {
            let mut file = create(&draft)?;
            writeln!(file, "{epoch}")?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)
        })();
        if let Err(error) = written {
            let _ = std::fs::remove_file(&draft);
            return Err(explain_io(error, "write the epoch file", &path));
        }
        sync_directory(directory(&self.path));
        Ok(noted.is_some())
    }
}

/// The file that keeps the epoch beside the store.
fn epoch_path(path: &Path) -> PathBuf {
    beside(path, ".epoch")
}

/// The path with an ending added.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes a file that must not exist, readable and writable by its owner only.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The directory that holds a file.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new name durable where the system can; elsewhere it does so by itself.
pub(super) fn sync_directory(directory: &Path) {
    if cfg!(unix)
        && let Ok(directory) = File::open(directory)
    {
        let _ = directory.sync_all();
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn random_name(random: &dyn Random) -> Result<String> {
    let mut bytes = [0u8; 16];
    random.fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(unix)]
fn identity(found: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_found: &std::fs::Metadata) -> Identity {}

/// Refuses a file that SQLite would harm without a word.
///
/// It takes a file that is too short to be a database for an empty one. And it applies whatever log lies beside a file:
/// that of the store before, when somebody put a backup in its place and left the log.
fn refuse_harm(path: &Path) -> Result<()> {
    // First the log: it is made after the mark that the file has one.
    let has_log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let mut start = [0u8; 19];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) if start.starts_with(&MAGIC) => {}
        Err(error) if error.kind() != Io::UnexpectedEof => {
            return Err(explain_io(error, "read the store's file", path));
        }
        _ => return Err(unusable("the file is no SQLite database: give another path, or restore a backup")),
    }
    if has_log && start.last() == Some(&WITHOUT_LOG) {
        return Err(unusable(
            "the store's file is a restored copy, but the files beside it that end in -wal and -shm belong to the file \
             before: remove these two",
        ));
    }
    Ok(())
}

fn refuse_network(directory: &Path) -> Result<()> {
    // Only Linux tells; elsewhere the manual says it.
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    let Some(kind) = network_file_system(&mounts, &directory.to_string_lossy()) else { return Ok(()) };
    Err(unusable(format!(
        "the store's directory is on a network file system ({kind}), where SQLite's locks do not hold: use a local \
         disk, or a store on PostgreSQL"
    ))
    .with_context("path", directory.display().to_string()))
}
