//! Correlation as sources and classes are configured with it: rules, or the short forms.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::prepared::Prepared;
use super::rule::{Correlation, Item, Normalise, Rule, Values};
use crate::value::AttrName;

/// The short form of a source's rule: equal first values of all attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationRule {
    /// The attributes; all must be present and equal (case ignored).
    pub attributes: Vec<AttrName>,
}

/// How a source's new records find an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SourceCorrelation {
    /// Lists of attributes, tried in order among the identities that other sources made. An address is never enough.
    Lists(Vec<CorrelationRule>),
    /// Weighted rules, among all identities.
    Scored(Correlation),
}

impl Default for SourceCorrelation {
    fn default() -> Self {
        Self::Lists(Vec::new())
    }
}

impl From<Vec<CorrelationRule>> for SourceCorrelation {
    fn from(lists: Vec<CorrelationRule>) -> Self {
        Self::Lists(lists)
    }
}

impl SourceCorrelation {
    /// Whether there are no rules: every new record is a new identity.
    pub fn is_empty(&self) -> bool {
        self.correlation().rules.is_empty()
    }

    /// Whether identities that the source itself made are left out: keys of one source tell its people apart.
    pub fn leaves_out_own(&self) -> bool {
        matches!(self, Self::Lists(_))
    }

    /// The rules; of the short form, those it stands for.
    pub fn correlation(&self) -> Correlation {
        let lists = match self {
            Self::Scored(correlation) => return correlation.clone(),
            Self::Lists(lists) => lists,
        };
        let mut rules: Vec<Rule> = Vec::new();
        for (tier, list) in (1..).zip(lists) {
            let name = list.attributes.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
            if list.attributes.is_empty() || rules.iter().any(|rule| rule.name == name) {
                continue;
            }
            let item = |attribute: &AttrName| Item {
                normalise: Normalise::Case,
                values: Values::First,
                ..Item::new(attribute.clone())
            };
            let items = list.attributes.iter().map(item).collect();
            rules.push(Rule { tier: Some(tier), ..Rule::new(name, items) });
        }
        short(rules)
    }

    /// The rules, ready to use.
    pub fn prepare(&self) -> Prepared {
        Prepared::new(&self.correlation())
    }
}

/// How objects of a class find an identity at onboarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClassCorrelation {
    /// Attributes of the target with the identity attribute each is compared to (case ignored). An address is never
    /// enough.
    Pairs(BTreeMap<AttrName, AttrName>),
    /// Weighted rules.
    Scored(Correlation),
}

impl Default for ClassCorrelation {
    fn default() -> Self {
        Self::Pairs(BTreeMap::new())
    }
}

impl ClassCorrelation {
    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.correlation().rules.is_empty()
    }

    /// The rules; of the short form, those it stands for.
    pub fn correlation(&self) -> Correlation {
        let pairs = match self {
            Self::Scored(correlation) => return correlation.clone(),
            Self::Pairs(pairs) => pairs,
        };
        let rule = |(native, attribute): (&AttrName, &AttrName)| {
            let with = Some(native.clone());
            let item = Item { with, normalise: Normalise::Case, ..Item::new(attribute.clone()) };
            Rule::new(native.as_str(), vec![item])
        };
        short(pairs.iter().map(rule).collect())
    }

    /// The rules, ready to use.
    pub fn prepare(&self) -> Prepared {
        Prepared::new(&self.correlation())
    }
}

/// What the short forms say besides their rules: nothing rules anybody out.
fn short(rules: Vec<Rule>) -> Correlation {
    Correlation { must_not_differ: Vec::new(), may_have_left: true, ..Correlation::new(rules) }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SourceCorrelation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of attributes, or a map with `rules`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(SourceCorrelation::Lists)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Correlation::deserialize(de::value::MapAccessDeserializer::new(map)).map(SourceCorrelation::Scored)
    }
}

impl<'de> Deserialize<'de> for SourceCorrelation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct ClassVisitor;

impl<'de> Visitor<'de> for ClassVisitor {
    type Value = ClassCorrelation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from attributes of the target to identity attributes, or a map with `rules`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
            read.insert(key, value);
        }
        // An attribute may be called `rules`; it is compared with an attribute, not with a list.
        let scored = read.values().any(|value| !value.is_string());
        let read = serde_json::Value::Object(read);
        if scored {
            return serde_json::from_value(read).map(ClassCorrelation::Scored).map_err(de::Error::custom);
        }
        serde_json::from_value(read).map(ClassCorrelation::Pairs).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ClassCorrelation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClassVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_forms_are_read_and_written_as_ever() {
        let text = r#"[["mail"],["givenName","familyName"]]"#;
        let lists: SourceCorrelation = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&lists).unwrap(), text);
        let names: Vec<String> = lists.correlation().rules.into_iter().map(|rule| rule.name).collect();
        assert_eq!(names, ["mail", "givenName,familyName"]);
        assert!(lists.leaves_out_own() && SourceCorrelation::default().is_empty());

        let text = r#"{"mail":"mail","rules":"title"}"#;
        let pairs: ClassCorrelation = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&pairs).unwrap(), text);
        let rules = pairs.correlation().rules;
        assert_eq!(
            (rules[1].items[0].attribute.as_str(), rules[1].items[0].other().as_str()),
            ("title", "rules")
        );
        let none: ClassCorrelation = serde_json::from_str("{}").unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn rules_are_read_by_both_and_written_back() {
        let text = r#"{"rules":[{"name":"id","items":[{"attribute":"nationalId","with":"pid","normalise":"digits"}],
            "weight":0.4,"tier":1}],"candidate":0.3}"#;
        let source: SourceCorrelation = serde_json::from_str(text).unwrap();
        let class: ClassCorrelation = serde_json::from_str(text).unwrap();
        assert_eq!(source.correlation(), class.correlation());
        let again: ClassCorrelation = serde_json::from_str(&serde_json::to_string(&class).unwrap()).unwrap();
        assert_eq!(again, class);
        for (bad, says) in [
            (r#"{"rule":[]}"#, "unknown field `rule`"),
            (r#"{"rules":[{"name":"a","items":[{"attribut":"x"}]}]}"#, "unknown field `attribut`"),
            (r#"{"rules":[],"definite":-1}"#, "not a decimal"),
            (
                r#"{"rules":[{"name":"a","items":[{"attribute":"x","similarity":"soundex"}]}]}"#,
                "unknown variant",
            ),
        ] {
            let source = serde_json::from_str::<SourceCorrelation>(bad).unwrap_err().to_string();
            let class = serde_json::from_str::<ClassCorrelation>(bad).unwrap_err().to_string();
            assert!(source.contains(says) && class.contains(says), "{source} / {class}");
        }
    }
}
