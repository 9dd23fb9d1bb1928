//! What the author of a connector writes: what the suite must know of the target, and one test.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::sync::Arc;

use provision_core::id::ClassName;
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Suite, Trouble};
use provision_core::value::{AttrName, Attributes};
use provision_examples::phone_book::PhoneBook;

/// What the suite must know of a phone book.
struct Entries {
    file: PathBuf,
}

impl Profile for Entries {
    fn class(&self) -> ClassName {
        "entry".into()
    }

    fn attributes(&self, suffix: &str) -> Attributes {
        Attributes::new().with("employeeNumber", suffix).with("name", format!("Zoë {suffix}"))
    }

    fn text(&self) -> AttrName {
        "phone".into()
    }

    /// A folder in the file's place: the target is there and cannot be read.
    fn provoke(&self, trouble: Trouble) -> bool {
        let away = self.file.with_extension("away");
        if self.file.is_dir() {
            std::fs::remove_dir(&self.file).unwrap();
            std::fs::rename(&away, &self.file).unwrap();
        }
        if trouble == Trouble::Unreachable && self.file.exists() {
            std::fs::rename(&self.file, &away).unwrap();
            std::fs::create_dir(&self.file).unwrap();
            return true;
        }
        trouble == Trouble::None
    }
}

#[tokio::test]
async fn the_phone_book_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let entries = Entries { file: folder.path().join("phones.json") };
    let book = PhoneBook::new(&entries.file, Arc::new(SystemClock));
    // Panics with the report when a clause is broken, or when fewer are kept than this.
    let report = Suite::new(&book, &entries).at_least(26).assert_kept().await;
    // What a phone book cannot be asked for. A clause that moves here without reason is a loss.
    let idle = [
        "C-1.1", "C-1.2", "C-1.3", "C-4.2", "C-4.10", "C-5.4", "C-6.1", "C-6.2", "C-7.1", "C-7.2", "C-7.3",
        "C-8.1", "C-8.2", "C-8.3", "C-8.4", "C-9.2", "C-9.4", "C-9.5",
    ];
    assert_eq!(report.not_applicable(), idle);
    assert_eq!(report.left, vec![], "nothing is left in the book");
}
