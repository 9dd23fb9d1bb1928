//! A consistent copy of a store in use.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::SqliteOptions;
use super::connection::open;
use super::failure::{Explain, explain_io, unusable};
use super::file::{beside, create, directory, random_name, sync_directory};
use super::migration::renew_epoch;
use crate::error::{Error, ErrorKind, Result};

/// Copies the store at `source` to a new file.
///
/// The copy appears under its name when it is whole. It has an epoch of its own: whoever restores it is noticed.
pub(super) fn backup(source: &Path, target: &Path, options: &SqliteOptions) -> Result<()> {
    match create(target) {
        Ok(_) => {}
        Err(error) if error.kind() == Io::AlreadyExists => {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is a file where the backup is to go")
                .with_effect(crate::error::Effect::None)
                .with_context("path", target.display().to_string()));
        }
        Err(error) => return Err(explain_io(error, "create the backup", target)),
    }
    let draft = beside(target, ".partial");
    let copied = copy(source, &draft, options).and_then(|()| {
        std::fs::rename(&draft, target).map_err(|error| explain_io(error, "name the backup", target))
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&draft);
        let _ = std::fs::remove_file(target);
    }
    sync_directory(directory(target));
    copied
}

fn copy(source: &Path, draft: &Path, options: &SqliteOptions) -> Result<()> {
    let doing = "write the backup";
    // The name of the backup is ours, so a draft of that name is what a stopped process left.
    let _ = std::fs::remove_file(draft);
    create(draft).map_err(|error| explain_io(error, "create the backup", draft))?;
    let from = open(source, options)?;
    let mut to = open(draft, options)?;
    copy_pages(&from, &mut to)?;
    // In one file, without a log beside it.
    to.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).or_explain(doing)?;
    renew_epoch(&to, &random_name(options.random.as_ref())?).or_explain(doing)?;
    to.close().map_err(|(_, error)| error).or_explain(doing)?;
    File::open(draft)
        .and_then(|file| file.sync_all())
        .map_err(|error| explain_io(error, "write the backup", draft))
}

/// All pages in one step: a reader of the log sees one moment, and writers go on meanwhile.
fn copy_pages(from: &Connection, to: &mut Connection) -> Result<()> {
    let doing = "copy the store";
    let backup = Backup::new(from, to).or_explain(doing)?;
    match backup.step(-1).or_explain(doing)? {
        StepResult::Done => Ok(()),
        _ => Err(unusable("cannot copy the store: another process holds it locked, try again")),
    }
}
