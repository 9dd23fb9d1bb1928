//! Mail addresses: anybody can claim one, so it says something only where it was verified.

use crate::value::Value;

/// Attributes that hold addresses, in lower case without `_` and `-`.
const ENDINGS: [&str; 6] = ["mail", "mails", "email", "emails", "emailaddress", "emailaddresses"];

/// Whether an attribute holds mail addresses, by its name; a path counts by the attribute it begins with.
pub(super) fn is_mail(attribute: &str) -> bool {
    let root = attribute.split('.').next().unwrap_or_default();
    let name: String = root.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_lowercase();
    name == "proxyaddresses" || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a value looks like an address, whatever its attribute is called.
pub(super) fn is_address(text: &str) -> bool {
    text.trim().split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !text.trim().contains(char::is_whitespace)
    })
}

/// Whether a value says yes: true, 1, or the text `true`, `yes` or `1`.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Int(number) => *number == 1,
        Value::Text(text) => {
            let text = text.trim();
            ["true", "yes", "1"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_known_by_name_and_by_sight() {
        for name in
            ["mail", "Email", "emails.value", "work_email", "otherMails", "e-mail-address", "proxyAddresses"]
        {
            assert!(is_mail(name), "{name}");
        }
        for name in ["mailNickname", "mailStop", "userName", "displayName", "emailed"] {
            assert!(!is_mail(name), "{name}");
        }
        assert!(is_address("jane@x") && is_address(" jane@x "));
        assert!(!is_address("@jane") && !is_address("jane@") && !is_address("meet @ noon"));
        assert!(is_true(&true.into()) && is_true(&" Yes".into()) && is_true(&1.into()));
        assert!(!is_true(&false.into()) && !is_true(&"verified?".into()) && !is_true(&2.into()));
    }
}
