//! What somebody would write who needs this matrix and nothing else.

use provision_core::model::{Identity, Lifecycle};
use provision_core::value::{Attributes, Value};

use super::UNITS;

/// The account of a person, or nothing. Without reasons, references to sources and traces of what was read.
pub fn by_hand(person: &Identity, lifecycle: Lifecycle) -> Option<(bool, Attributes)> {
    let read = |name: &str| person.attributes.text(name).filter(|text| !text.is_empty());
    let employed = matches!(read("userType"), Some("employee" | "contractor"));
    if lifecycle == Lifecycle::Terminated || !employed {
        return None;
    }
    let given = read("givenNameRomanized").or(read("givenName"));
    let family = read("familyNameRomanized").or(read("familyName"));
    let last = family.or(given);
    let first = family.and(given);
    let unit = unit(read("department")?)?;
    let cn = [read("givenName"), read("familyName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let login = login(last.unwrap_or_default(), first.unwrap_or_default());
    let mut account = Attributes::new();
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            account.set(name, vec![Value::text(value)]);
        }
    };
    set("dn", Some(&format!("CN={},{unit}", escaped(&cn))));
    set("cn", Some(&cn));
    set("userPrincipalName", Some(&format!("{login}@corp.example")));
    set("sAMAccountName", Some(&login));
    set("mail", Some(&mail(first.unwrap_or_default(), last.unwrap_or_default())));
    set("employeeNumber", Some(&person.key));
    set("givenName", read("givenName"));
    set("sn", read("familyName").or(read("givenName")));
    set("displayName", read("displayName"));
    set("title", read("title").map(|title| title.get(..128).unwrap_or(title)));
    set("department", read("department"));
    set("mobile", read("mobile"));
    set("manager", read("manager"));
    Some((matches!(lifecycle, Lifecycle::Active | Lifecycle::OnLeave), account))
}

/// Where a department's people are.
pub(super) fn unit(department: &str) -> Option<&'static str> {
    let at = UNITS.binary_search_by_key(&department, |(name, _)| name).ok()?;
    UNITS.get(at).map(|(_, unit)| *unit)
}

/// The first 19 letters of the last name and the first of the first name.
pub(super) fn login(last: &str, first: &str) -> String {
    let mut login: String = letters(last, "").chars().take(19).collect();
    login.extend(letters(first, "").chars().take(1));
    login
}

/// First and last name with a dot between them.
pub(super) fn mail(first: &str, last: &str) -> String {
    let parts: Vec<String> =
        [first, last].iter().map(|part| letters(part, "-")).filter(|part| !part.is_empty()).collect();
    format!("{}@corp.example", parts.join("."))
}

/// ASCII letters and digits, in lower case, and what else is allowed.
fn letters(text: &str, besides: &str) -> String {
    let text = if text.is_ascii() { text.to_owned() } else { deunicode::deunicode(text) };
    let lower = text.to_lowercase();
    lower.chars().filter(|c| c.is_ascii_alphanumeric() || besides.contains(*c)).collect()
}

/// Escaped for a distinguished name.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
