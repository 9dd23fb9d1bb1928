//! What becomes of values that are on the target and that no mapping gives.

use serde::{Deserialize, Serialize};

use crate::id::PolicyRef;
use crate::schema::AttributeSchema;
use crate::value::Value;

/// How the values of an attribute are treated that are there and not wanted.
///
/// Without one, what we wrote earlier goes and what others put there stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tolerance {
    /// What we wrote earlier stays: one of its mappings is not authoritative. A single value may still be replaced.
    #[serde(default)]
    pub add_only: bool,
    /// Values of a set that go when nothing gives them, whoever put them there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removes: Vec<Range>,
    /// Patterns of foreign values that stay whatever `removes` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<String>,
}

/// Values that a mapping (or the attribute itself) may take away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// A text in which `*` stands for any characters.
    pub pattern: String,
    /// The mapping whose range it is, or the attribute.
    pub by: PolicyRef,
}

impl Tolerance {
    /// The range that takes a value away that nothing gives; `None` when it stays.
    pub fn removes(&self, schema: &AttributeSchema, value: &Value) -> Option<&Range> {
        if self.removes.is_empty() {
            return None;
        }
        let text = schema.case.fold(&value.to_plain());
        let fits = |pattern: &str| glob(&schema.case.fold(pattern), &text);
        if self.keeps.iter().any(|pattern| fits(pattern)) {
            return None;
        }
        self.removes.iter().find(|range| fits(&range.pattern))
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters. At most `pattern * text` steps.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::CaseRule;

    #[test]
    fn a_star_stands_for_any_characters() {
        let fits =
            [("*", ""), ("*", "a"), ("a", "a"), ("a*", "a"), ("a*", "abc"), ("*c", "abc"), ("a*c", "abc")];
        let more = [("a*b*c", "a-b-b-c"), ("**", "x"), ("*b*", "abc"), ("ä*", "äö"), ("a*a", "aa"), ("", "")];
        for (pattern, text) in fits.into_iter().chain(more) {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        let misses = [
            ("", "a"),
            ("a", "ab"),
            ("a*", "ba"),
            ("a*a", "a"),
            ("*b", "abc"),
            ("a*b*c", "acb"),
            ("A*", "abc"),
        ];
        for (pattern, text) in misses {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_a_range_takes_and_a_pattern_keeps_stays() {
        let range = |pattern: &str, by: &str| Range { pattern: pattern.to_owned(), by: by.into() };
        let tolerance = Tolerance {
            add_only: false,
            removes: vec![range("dept-*", "first"), range("*", "second")],
            keeps: vec!["*@example.com".to_owned()],
        };
        let by = |schema: &AttributeSchema, value: Value| {
            tolerance.removes(schema, &value).map(|range| range.by.as_str().to_owned())
        };
        let exact = AttributeSchema::text();
        assert_eq!(by(&exact, "dept-a".into()).as_deref(), Some("first"));
        assert_eq!(by(&exact, "DEPT-a".into()).as_deref(), Some("second"));
        assert_eq!(by(&exact, "dept-a@example.com".into()), None, "both match: it stays");
        assert_eq!(by(&exact, Value::Int(7)).as_deref(), Some("second"));
        let ignore = AttributeSchema { case: CaseRule::Ignore, ..AttributeSchema::text() };
        assert_eq!(by(&ignore, "DEPT-a".into()).as_deref(), Some("first"), "by the attribute's rule");
        assert_eq!(by(&ignore, "X@EXAMPLE.com".into()), None);
        assert_eq!(Tolerance::default().removes(&exact, &"dept-a".into()), None);
    }
}
