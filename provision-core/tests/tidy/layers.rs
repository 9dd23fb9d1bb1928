//! Who may know whom: the dependency direction between crates and inside them.

use std::collections::BTreeSet;

use crate::source_text::SourceText;

/// What a crate may depend on among its siblings; crates that are not here (examples, benches) may use all.
fn siblings_allowed(package: &str) -> Option<&'static [&'static str]> {
    match package {
        "provision-core" => Some(&[]),
        "provision-policy" | "provision-connectors" => Some(&["provision-core"]),
        "provision-scim" => Some(&["provision-core", "provision-connectors"]),
        _ => None,
    }
}

/// The manifest names no sibling that its crate may not know, and leaves core's features to the host.
pub(crate) fn manifest(package: &str, text: &str) -> Vec<String> {
    let Some(allowed) = siblings_allowed(package) else { return Vec::new() };
    let mut found = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let name = if section.contains("dependencies.") {
            section.rsplit('.').next().unwrap_or_default()
        } else if section.ends_with("dependencies") {
            line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"')
        } else {
            continue;
        };
        // A crate names itself among its dev-dependencies to turn features on for its own tests.
        if name.starts_with("provision-") && name != package && !allowed.contains(&name) {
            found.push(format!("{package}: must not depend on {name} ({section})"));
        }
        let shipped = !section.contains("dev-dependencies");
        if shipped && name == "provision-core" && (line.contains("\"sqlite") || line.contains("\"testkit")) {
            found.push(format!(
                "{package}: takes features of provision-core that belong to the host ({section})"
            ));
        }
        if package == "provision-scim" && name == "provision-connectors" && shipped {
            let only_http =
                line.contains("features = [\"http\"]") && !line.contains("default-features = true");
            if !only_http {
                found.push(format!("{package}: may use provision-connectors with only its `http` feature"));
            }
        }
    }
    found.dedup();
    found
}

/// Rust code of a crate names no sibling that the crate may not know.
pub(crate) fn crate_paths(package: &str, path: &str, source: &SourceText) -> Vec<String> {
    let Some(allowed) = siblings_allowed(package) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, word) in source.identifiers() {
        let named = word.replace('_', "-");
        let sibling = siblings_allowed(&named).is_some() && named != package;
        if sibling && !allowed.contains(&named.as_str()) {
            found.push(format!("{path}:{line}: {package} must not know {named}"));
        }
    }
    found
}

/// A connector folder imports core, its own folder and `http`.
///
/// `inside` is the path below the crate's `src`; `modules` are the crate's top-level modules.
pub(crate) fn connector_folder(
    path: &str,
    inside: &str,
    modules: &BTreeSet<String>,
    source: &SourceText,
) -> Vec<String> {
    let Some((own, _)) = inside.split_once('/') else { return Vec::new() };
    let mut found = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        for (prefix, strict) in [("crate::", true), ("super::", false)] {
            for (at, _) in line.match_indices(prefix) {
                let rest = line.get(at + prefix.len()..).unwrap_or_default();
                let named: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let braces = strict && rest.starts_with('{');
                let foreign = named != own && named != "http" && (strict || modules.contains(&named));
                if braces || foreign && !named.is_empty() {
                    found
                        .push(format!("{path}:{}: folder `{own}` reaches into `{prefix}{named}`", index + 1));
                }
            }
        }
    }
    found
}

const DATABASES: &[&str] = &["rusqlite", "libsqlite3_sys", "postgres", "tokio_postgres", "sqlx"];
const CLOCKS_AND_DICE: &[&str] =
    &["SystemTime", "Instant", "getrandom", "now_v7", "new_v4", "thread_rng", "RandomState"];
const PROTOCOLS: &[&str] = &["ldap", "scim", "http", "saml", "oauth", "kerberos", "graphql"];

/// Inside core: only `store/` names a database, only `runtime/` reads time or randomness, nothing names a protocol
/// (the fault proxies of the test kit are not part of the road).
pub(crate) fn core_layers(path: &str, inside: &str, source: &SourceText) -> Vec<String> {
    let mut found = Vec::new();
    for (line, word) in source.identifiers() {
        if DATABASES.contains(&word.as_str()) && !inside.starts_with("store/") {
            found.push(format!("{path}:{line}: `{word}` outside store/"));
        }
        if CLOCKS_AND_DICE.contains(&word.as_str()) && !inside.starts_with("runtime/") {
            found.push(format!("{path}:{line}: `{word}` outside runtime/"));
        }
        let lower = word.to_lowercase();
        let protocol = PROTOCOLS.iter().find(|protocol| lower.contains(*protocol));
        if let Some(protocol) = protocol.filter(|_| !inside.starts_with("testkit/proxy/")) {
            found.push(format!("{path}:{line}: `{word}` names {protocol}; core knows no protocol"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_dependencies_are_caught() {
        let core = "[dependencies]\nserde.workspace = true\nprovision-policy.workspace = true\n";
        assert_eq!(manifest("provision-core", core).len(), 1);
        let dev = "[dev-dependencies]\nprovision-connectors = { path = \"../provision-connectors\" }\n";
        assert_eq!(manifest("provision-policy", dev).len(), 1);
        let table = "[dependencies.provision-scim]\nworkspace = true\n";
        assert_eq!(manifest("provision-connectors", table).len(), 1);
        let fine =
            "[dependencies]\nprovision-core.workspace = true\n[features]\ndefault = [\"provision-core/x\"]\n";
        assert!(manifest("provision-policy", fine).is_empty());
        let features = "[dependencies]\nprovision-core = { workspace = true, features = [\"sqlite\"] }\n";
        assert_eq!(manifest("provision-policy", features).len(), 1);
        let scim = "[dependencies]\nprovision-connectors = { workspace = true, features = [\"http\"] }\n";
        assert!(manifest("provision-scim", scim).is_empty());
        assert_eq!(manifest("provision-scim", &scim.replace("http", "ldap")).len(), 1);
        assert!(manifest("provision-examples", core).is_empty());
    }

    #[test]
    fn planted_imports_are_caught() {
        let policy = SourceText::of("use provision_connectors::csv; // provision_scim\n");
        assert_eq!(crate_paths("provision-policy", "x", &policy).len(), 1);
        let modules = BTreeSet::from(["csv".to_owned(), "ldap".to_owned(), "http".to_owned()]);
        let caught = |text: &str| connector_folder("x", "csv/a.rs", &modules, &SourceText::of(text)).len();
        assert_eq!(caught("use crate::ldap::Dn;"), 1);
        assert_eq!(caught("use crate::{ldap, csv};"), 1);
        assert_eq!(caught("use super::super::ldap::Dn;"), 1);
        assert_eq!(
            caught("use crate::csv::Row; use crate::http::Client; use super::page::Page; // crate::ldap"),
            0
        );
    }

    #[test]
    fn planted_layer_breaks_are_caught() {
        let caught = |inside: &str, text: &str| core_layers("x", inside, &SourceText::of(text)).len();
        assert_eq!(caught("plan/step.rs", "use rusqlite::Connection;"), 1);
        assert_eq!(caught("store/sqlite/mod.rs", "use rusqlite::Connection;"), 0);
        assert_eq!(caught("plan/step.rs", "let now = std::time::Instant::now();"), 1);
        assert_eq!(caught("runtime/clock.rs", "let now = std::time::SystemTime::now();"), 0);
        assert_eq!(caught("testkit/mod.rs", "pub use proxy::HttpProxy;"), 1);
        assert_eq!(caught("testkit/proxy/mod.rs", "pub struct HttpProxy;"), 0);
        assert_eq!(
            caught("connector/mod.rs", "struct LdapKey; // LDAP is fine here\n const S: &str = \"scim\";"),
            1
        );
    }
}
