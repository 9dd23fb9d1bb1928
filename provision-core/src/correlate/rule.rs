//! The rules as they are configured.

use serde::{Deserialize, Serialize};

use super::score::Score;
use crate::value::AttrName;

/// How values are written down before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// As they are.
    Exact,
    /// Without case and outer white space.
    Case,
    /// Without case, in one form of Unicode, with one space between words.
    #[default]
    Fold,
    /// Latin letters and digits only: without case, marks and punctuation, other scripts transliterated.
    Letters,
    /// Digits only.
    Digits,
}

/// How two values become a confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    /// 1 when they are equal, otherwise 0.
    #[default]
    Equal,
    /// `1 / (d + 1)` by the number of characters that differ.
    Levenshtein,
    /// The share of three-character pieces that both have.
    Trigram,
}

/// Which of an attribute's values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Each with each; the best pair counts.
    #[default]
    Any,
    /// The first of either side.
    First,
}

/// What an address means that nobody has verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unverified {
    /// A person is asked; it never counts towards a match.
    #[default]
    Ask,
    /// Nothing.
    Ignore,
}

/// One comparison of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The identity's attribute, or `attribute.sub` for a part of structured values.
    pub attribute: AttrName,
    /// The attribute of the record or object it is compared with; unless given, the one of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<AttrName>,
    /// How values are written down first.
    #[serde(default)]
    pub normalise: Normalise,
    /// How they become a confidence.
    #[serde(default)]
    pub similarity: Similarity,
    /// The least confidence that counts; required unless values have to be equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Score>,
    /// Which values are compared.
    #[serde(default)]
    pub values: Values,
    /// Of an address: the attribute of the record or object that is true when it was verified. `emails.verified`
    /// beside `emails.value` says it for each address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<AttrName>,
}

impl Item {
    /// An item that compares an attribute with the one of the same name.
    pub fn new(attribute: impl Into<AttrName>) -> Self {
        Self {
            attribute: attribute.into(),
            with: None,
            normalise: Normalise::default(),
            similarity: Similarity::default(),
            minimum: None,
            values: Values::default(),
            verified_by: None,
        }
    }

    /// The attribute of the record or object.
    pub fn other(&self) -> &AttrName {
        self.with.as_ref().unwrap_or(&self.attribute)
    }
}

/// One rule. It says something only when each of its items does: their confidences multiply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, shown in disputes.
    pub name: String,
    /// What is compared.
    pub items: Vec<Item>,
    /// How much it says when all is equal.
    #[serde(default = "Correlation::one")]
    pub weight: Score,
    /// Tiers are looked at in ascending order, rules without one last, until a tier leaves exactly one definite
    /// identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// Its place in its tier; rules without one come last, in the order of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// It says nothing of an identity that one of these rules has matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless_matched_by: Vec<String>,
}

impl Rule {
    /// A rule of weight 1 without tier.
    pub fn new(name: impl Into<String>, items: Vec<Item>) -> Self {
        let (name, weight) = (name.into(), Score::ONE);
        Self { name, items, weight, tier: None, order: None, unless_matched_by: Vec::new() }
    }
}

/// How records or objects find their identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The score from which an identity is certain.
    #[serde(default = "Correlation::one")]
    pub definite: Score,
    /// The score from which it is shown to a person; one that is 0 never is.
    #[serde(default)]
    pub candidate: Score,
    /// What the sum of the rules is multiplied with.
    #[serde(default = "Correlation::one")]
    pub scale: Score,
    /// Attributes that rule an identity out when both sides have them and they differ.
    #[serde(default = "Correlation::birth")]
    pub must_not_differ: Vec<Item>,
    /// Identities that have left may be matched too: a rehire by a new number.
    #[serde(default)]
    pub may_have_left: bool,
    /// Every address that the source or target shows is verified.
    #[serde(default)]
    pub verifies_mail: bool,
    /// What an address means that was not verified.
    #[serde(default)]
    pub unverified: Unverified,
}

impl Correlation {
    /// Rules with everything else at its default.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            definite: Score::ONE,
            candidate: Score::ZERO,
            scale: Score::ONE,
            must_not_differ: Self::birth(),
            may_have_left: false,
            verifies_mail: false,
            unverified: Unverified::default(),
        }
    }

    fn one() -> Score {
        Score::ONE
    }

    fn birth() -> Vec<Item> {
        ["dateOfBirth", "birthDate"].map(Item::new).into()
    }
}
