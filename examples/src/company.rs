//! The company of the shipped data: how its HR file is read, and what its two targets are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_connectors::csv::{CsvConnector, CsvSource};
use provision_core::connector::Registry;
use provision_core::plan::{Drive, TargetSettings};
use provision_core::runtime::Clock;
use provision_core::source::SourceSettings;
use provision_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::directory;

/// The folder of the shipped data.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// The kinds of sources and targets that the examples use. Nothing registers itself.
pub fn registry(clock: &Arc<dyn Clock>) -> Registry {
    Registry::new()
        .with_source("csv", CsvSource::factory())
        .with_connector("csv", CsvConnector::factory_with_clock(Arc::clone(clock)))
        .with_connector(directory::KIND, directory::factory(Arc::clone(clock)))
}

/// The HR system: a full file a day, put into `inbox`.
///
/// # Errors
/// None with the settings below; they are checked as a host's own would be.
pub fn hr(inbox: &Path) -> Result<SourceSettings> {
    read(json!({
        "name": "hr",
        "kind": "csv",
        "config": {
            "path": inbox, "pattern": "*.csv", "mode": "full", "key": "employee_id",
            "columns": {
                "givenName": "first_name", "middleName": "middle_name", "familyName": "last_name",
                "givenNameRomanized": "first_name_romanized", "familyNameRomanized": "last_name_romanized",
                "nickName": "preferred_name", "displayName": "full_name",
                "department": "department", "title": "title", "manager": "manager_id",
                "userType": "employment_type", "costCenter": "cost_center",
                "mobile": "mobile", "location": "location",
            },
            "employment": {
                "start": "hire_date", "end": "end_date", "status": "status",
                "status_map": {
                    "active": "active", "leave": "on_leave", "suspended": "suspended", "terminated": "terminated",
                },
            },
            "zone": "time_zone",
            "sequence": {"from_name": true},
        },
    }))
}

/// The directory: shaped like Active Directory, already holds accounts that somebody made by hand. A person reads
/// every plan before it is applied.
///
/// # Errors
/// As [`hr`].
pub fn directory(state: &Path) -> Result<TargetSettings> {
    let settings: TargetSettings = read(json!({
        "name": "directory",
        "kind": directory::KIND,
        "config": {"state_file": state.join("directory.json"), "seed_file": data().join("directory-seed.json")},
        "drive": "review",
        "classes": {
            "user": {
                // Accounts are recognised by the number HR issued. A name alone is never enough.
                "marker": "employeeNumber",
                "correlate": {"displayName": "displayName"},
                "on_delete": "disable",
            },
        },
        "protected": ["CN=Break Glass,OU=Admins,DC=corp,DC=example"],
        "privileged_groups": ["CN=Domain Admins,OU=Groups,DC=corp,DC=example"],
        "budgets": {"create": {"always": 1000, "percent": 100}, "disable": {"always": 10, "percent": 2}},
    }))?;
    Ok(settings)
}

/// The badge office: imports a file that we keep.
///
/// # Errors
/// As [`hr`].
pub fn badges(state: &Path) -> Result<TargetSettings> {
    let settings: TargetSettings = read(json!({
        "name": "badges",
        "kind": "csv",
        "config": {
            "path": state.join("badges.csv"), "class": "badge", "key": "employeeNumber",
            "columns": ["employeeNumber", "displayName", "department", "location"],
            "enabled_column": "active",
        },
        "classes": {"badge": {"marker": "employeeNumber"}},
        // Every rewrite of the file is made durable: many at a time share one.
        "concurrency": 64,
    }))?;
    Ok(TargetSettings { drive: Drive::Review, ..settings })
}

fn read<T: DeserializeOwned>(settings: serde_json::Value) -> Result<T> {
    serde_json::from_value(settings)
        .map_err(|error| Error::new(ErrorKind::ConfigInvalid, error.to_string()).with_source(error))
}
