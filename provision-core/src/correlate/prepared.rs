//! Rules made ready: put in order, with the keys by which candidates are found and the scoring itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::evidence::Evidence;
use super::mail::{is_address, is_mail, is_true};
use super::rule::{Correlation, Item, Normalise, Rule, Similarity, Unverified, Values};
use super::score::Score;
use super::similarity::{levenshtein, normalise, trigram};
use super::verdict::Contribution;
use crate::value::{AttrName, AttrPath, Attributes, Value};

/// Values of one attribute that are compared.
const VALUES_MAX: usize = 16;
/// Keys of one identity for one rule.
const KEYS_MAX: usize = 64;
/// Values in a key that are longer together are kept as their hash: a key has to fit into an index.
const KEY_BYTES_MAX: usize = 800;
/// The tier of rules that name none.
const LAST_TIER: u32 = u32::MAX;

/// One value as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    text: String,
    verified: bool,
}

/// What a record or object says to each item of each rule, and to what must not differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    rules: Vec<Vec<Vec<Claim>>>,
    must_not_differ: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct PreparedItem {
    item: Item,
    own: AttrPath,
    other: AttrPath,
    is_mail: bool,
}

#[derive(Clone, Debug)]
struct PreparedRule {
    name: String,
    weight: Score,
    tier: u32,
    items: Vec<PreparedItem>,
    /// Places of the rules whose match silences this one; all are before it.
    unless: Vec<usize>,
    key: KeySpec,
}

/// What identities are indexed by for a rule: the values of its attributes that have to be equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeySpec {
    name: String,
    parts: Vec<(String, Normalise, Values)>,
}

/// The points of one identity, tier by tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Each tier with the score up to it, and the score as if every address were verified.
    pub(super) tiers: BTreeMap<u32, (Score, Score)>,
    pub(super) contributions: Vec<(u32, Contribution)>,
}

impl Tally {
    /// Whether no rule says anything.
    pub fn is_empty(&self) -> bool {
        self.contributions.is_empty()
    }
}

/// A [`Correlation`], ready to score.
#[derive(Clone, Debug)]
pub struct Prepared {
    rules: Vec<PreparedRule>,
    must_not_differ: Vec<PreparedItem>,
    pub(super) tiers: BTreeSet<u32>,
    pub(super) definite: Score,
    pub(super) candidate: Score,
    scale: Score,
    verifies_mail: bool,
    unverified: Unverified,
    /// Identities that have left may be matched.
    pub may_have_left: bool,
}

impl Prepared {
    /// Prepares rules that were checked; a rule without an item that has to be equal finds nobody.
    pub fn new(correlation: &Correlation) -> Self {
        let order = in_order(&correlation.rules);
        let place = |name: &String| order.iter().position(|rule| rule.name == *name);
        let prepare = |(at, rule): (usize, &&Rule)| PreparedRule {
            name: rule.name.clone(),
            weight: rule.weight,
            tier: rule.tier.unwrap_or(LAST_TIER),
            items: rule.items.iter().map(PreparedItem::new).collect(),
            unless: rule.unless_matched_by.iter().filter_map(place).filter(|other| *other < at).collect(),
            key: KeySpec::of(rule),
        };
        Self {
            rules: order.iter().enumerate().map(prepare).collect(),
            must_not_differ: correlation.must_not_differ.iter().map(PreparedItem::new).collect(),
            tiers: order.iter().map(|rule| rule.tier.unwrap_or(LAST_TIER)).collect(),
            definite: correlation.definite,
            candidate: correlation.candidate,
            scale: correlation.scale,
            verifies_mail: correlation.verifies_mail,
            unverified: correlation.unverified,
            may_have_left: correlation.may_have_left,
        }
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What identities have to be indexed by, once each.
    pub fn key_specs(&self) -> BTreeSet<KeySpec> {
        self.rules.iter().map(|rule| rule.key.clone()).filter(|spec| !spec.parts.is_empty()).collect()
    }

    /// What a record or object says.
    pub fn claims(&self, attributes: &Attributes) -> Claims {
        let rule = |rule: &PreparedRule| {
            rule.items.iter().map(|item| self.claims_of(item, attributes)).collect::<Vec<_>>()
        };
        let differing = |item: &PreparedItem| texts(&item.other, &item.item, attributes);
        Claims {
            rules: self.rules.iter().map(rule).collect(),
            must_not_differ: self.must_not_differ.iter().map(differing).collect(),
        }
    }

    fn claims_of(&self, item: &PreparedItem, attributes: &Attributes) -> Vec<Claim> {
        let claim = |(text, value): (String, &Value)| {
            let asks = (item.is_mail || is_address(&text)) && !self.verifies_mail;
            let verified = !asks || item.is_verified(value, attributes);
            Claim { text: normalise(item.item.normalise, &text), verified }
        };
        let claims = values(&item.other, item.item.values, attributes).map(claim);
        let counts =
            |claim: &Claim| !claim.text.is_empty() && (claim.verified || self.unverified == Unverified::Ask);
        claims.filter(counts).collect()
    }

    /// What the keys of all identities begin with that one of the rules may match, by the rule's place.
    pub fn prefixes(&self, claims: &Claims) -> Vec<(usize, String)> {
        let mut prefixes = Vec::new();
        for (at, (rule, claims)) in self.rules.iter().zip(&claims.rules).enumerate() {
            let equal = rule.items.iter().zip(claims).filter(|(item, _)| item.is_key());
            let values = equal.map(|(_, claims)| claims.iter().map(|claim| claim.text.clone()).collect());
            prefixes.extend(rule.key.prefixes(values.collect()).into_iter().map(|prefix| (at, prefix)));
        }
        prefixes
    }

    /// The most that rules can give together, by their places: what somebody may have whom nobody has looked at.
    pub fn reach(&self, places: &BTreeSet<usize>) -> Score {
        let weights = places.iter().filter_map(|at| self.rules.get(*at)).map(|rule| rule.weight);
        self.total(weights.fold(Score::ZERO, Score::plus))
    }

    /// Names of rules, by their places.
    pub fn names(&self, places: &BTreeSet<usize>) -> Vec<&str> {
        places.iter().filter_map(|at| self.rules.get(*at)).map(|rule| rule.name.as_str()).collect()
    }

    fn total(&self, sum: Score) -> Score {
        sum.times(self.scale).min(Score::ONE)
    }

    /// The attribute that both sides have and that differs, if one must not.
    pub fn differs(&self, claims: &Claims, identity: &Attributes) -> Option<AttrName> {
        let mut both = self.must_not_differ.iter().zip(&claims.must_not_differ);
        let differs = |(item, theirs): &(&PreparedItem, &Vec<String>)| {
            let own = texts(&item.own, &item.item, identity);
            !own.is_empty() && !theirs.is_empty() && own.iter().all(|value| !theirs.contains(value))
        };
        both.find(differs).map(|(item, _)| item.item.attribute.clone())
    }

    /// Scores an identity.
    pub fn tally(&self, claims: &Claims, identity: &Attributes) -> Tally {
        let mut tally = Tally::default();
        let mut matched: Vec<(bool, bool)> = Vec::with_capacity(self.rules.len());
        let (mut sum, mut claimed) = (Score::ZERO, Score::ZERO);
        for (rule, claims) in self.rules.iter().zip(&claims.rules) {
            let (certain, any) = rule.confidence(claims, identity);
            let silenced = |which: fn(&(bool, bool)) -> bool| {
                rule.unless.iter().any(|at| matched.get(*at).is_some_and(which))
            };
            let points = |confidence: Score, silenced: bool| {
                if silenced { Score::ZERO } else { confidence.times(rule.weight) }
            };
            let certain_points = points(certain, silenced(|matched| matched.0));
            let any_points = points(any, silenced(|matched| matched.1));
            matched.push((certain > Score::ZERO, any > Score::ZERO));
            sum = sum.plus(certain_points);
            claimed = claimed.plus(any_points).max(sum);
            if certain_points.max(any_points) > Score::ZERO {
                let unverified = certain_points == Score::ZERO;
                let (confidence, points) =
                    if unverified { (any, any_points) } else { (certain, certain_points) };
                let contribution = Contribution { rule: rule.name.clone(), confidence, points, unverified };
                tally.contributions.push((rule.tier, contribution));
            }
            tally.tiers.insert(rule.tier, (self.total(sum), self.total(claimed)));
        }
        tally
    }

    /// What a decision about a record or object rests on.
    pub fn evidence(&self, attributes: &Attributes) -> Evidence {
        let items = self.rules.iter().flat_map(|rule| &rule.items).chain(&self.must_not_differ);
        let names = items.flat_map(|item| {
            let verified = item.item.verified_by.as_ref().map(|path| root(path.as_str()));
            [Some(item.other.attribute.clone()), verified].into_iter().flatten()
        });
        Evidence::of(&names.collect(), attributes)
    }
}

impl PreparedItem {
    fn new(item: &Item) -> Self {
        let (own, other) = (path(&item.attribute), path(item.other()));
        let is_mail = is_mail(item.attribute.as_str()) || is_mail(item.other().as_str());
        Self { item: item.clone(), own, other, is_mail }
    }

    fn is_key(&self) -> bool {
        self.item.similarity == Similarity::Equal
    }

    /// Whether an address was verified, by the record's word.
    fn is_verified(&self, value: &Value, attributes: &Attributes) -> bool {
        let Some(by) = self.item.verified_by.as_ref().map(path) else { return false };
        match (&by.sub, value) {
            (Some(sub), Value::Record(record)) if by.attribute == self.other.attribute => {
                record.get(sub).is_some_and(is_true)
            }
            _ => by.select(attributes).next().is_some_and(is_true),
        }
    }

    /// How alike the best pair of values is: of the verified ones, and of all.
    fn confidence(&self, claims: &[Claim], identity: &Attributes) -> (Score, Score) {
        let (mut certain, mut any) = (Score::ZERO, Score::ZERO);
        if claims.is_empty() {
            return (certain, any);
        }
        let own = texts(&self.own, &self.item, identity);
        let minimum = self.item.minimum.unwrap_or_default();
        for (claim, own) in claims.iter().flat_map(|claim| own.iter().map(move |own| (claim, own))) {
            let alike = match self.item.similarity {
                Similarity::Equal if claim.text == *own => Score::ONE,
                Similarity::Equal => Score::ZERO,
                Similarity::Levenshtein => levenshtein(&claim.text, own),
                Similarity::Trigram => trigram(&claim.text, own),
            };
            if alike < minimum {
                continue;
            }
            any = any.max(alike);
            if claim.verified {
                certain = certain.max(alike);
            }
        }
        (certain, any)
    }
}

impl PreparedRule {
    fn confidence(&self, claims: &[Vec<Claim>], identity: &Attributes) -> (Score, Score) {
        let (mut certain, mut any) = (Score::ONE, Score::ONE);
        for (item, claims) in self.items.iter().zip(claims) {
            let alike = item.confidence(claims, identity);
            (certain, any) = (certain.times(alike.0), any.times(alike.1));
            if any == Score::ZERO {
                break;
            }
        }
        (certain, any)
    }
}

impl KeySpec {
    fn of(rule: &Rule) -> Self {
        let equal = rule.items.iter().filter(|item| item.similarity == Similarity::Equal);
        let parts: Vec<(String, Normalise, Values)> =
            equal.map(|item| (item.attribute.as_str().to_owned(), item.normalise, item.values)).collect();
        let short = |(_, how, which): &(String, Normalise, Values)| {
            (how, which) == (&Normalise::Case, &Values::First)
        };
        // The name that the short form has always had: its keys are in stores.
        let name = if parts.iter().all(short) {
            parts.iter().map(|part| part.0.as_str()).collect::<Vec<_>>().join(",")
        } else {
            json!(parts).to_string()
        };
        Self { name, parts }
    }

    /// What the index is known by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is one of the short form.
    pub fn is_short(&self) -> bool {
        !self.name.starts_with('[')
    }

    /// What the keys of an identity begin with. At most 64; 16 values of an attribute count.
    pub fn prefixes_of(&self, identity: &Attributes) -> BTreeSet<String> {
        let texts = |(name, how, which): &(String, Normalise, Values)| {
            let item = Item { normalise: *how, values: *which, ..Item::new(name.as_str()) };
            texts(&path(&item.attribute), &item, identity)
        };
        self.prefixes(self.parts.iter().map(texts).collect())
    }

    /// Every combination of one value of each part.
    fn prefixes(&self, values: Vec<Vec<String>>) -> BTreeSet<String> {
        let mut rows: Vec<Vec<String>> = vec![Vec::new()];
        for values in &values {
            let longer = |row: &Vec<String>| {
                let row = row.clone();
                values
                    .iter()
                    .map(move |value| row.iter().chain([value]).cloned().collect())
                    .collect::<Vec<_>>()
            };
            rows = rows.iter().flat_map(longer).take(KEYS_MAX).collect();
        }
        if values.is_empty() {
            return BTreeSet::new();
        }
        rows.iter().map(|row| self.prefix(row)).collect()
    }

    /// `name=["value","value"]|`. A JSON list is never the beginning of another one, whatever the values hold.
    fn prefix(&self, values: &[String]) -> String {
        let list = json!(values).to_string();
        let list = if list.len() > KEY_BYTES_MAX { hex::encode(Sha256::digest(list)) } else { list };
        format!("{}={list}|", self.name)
    }
}

/// By tier, place, what silences what, and name.
fn in_order(rules: &[Rule]) -> Vec<&Rule> {
    let rank = |rule: &Rule| (rule.tier.unwrap_or(LAST_TIER), rule.order.unwrap_or(u32::MAX));
    let mut waiting: Vec<&Rule> = rules.iter().collect();
    waiting.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    let mut order: Vec<&Rule> = Vec::new();
    while let Some(first) = waiting.first() {
        let tier = first.tier;
        let free = |rule: &&Rule| {
            let waits = |name: &String| {
                waiting
                    .iter()
                    .any(|other| other.name == *name && other.name != rule.name && other.tier == tier)
            };
            rule.tier == tier && !rule.unless_matched_by.iter().any(waits)
        };
        // Rules in a circle are refused when they are configured.
        let next = waiting.iter().position(free).unwrap_or_default();
        order.push(waiting.remove(next));
    }
    order
}

fn root(attribute: &str) -> AttrName {
    AttrName::new(attribute.split('.').next().unwrap_or_default())
}

fn path(attribute: &AttrName) -> AttrPath {
    AttrPath::parse(attribute.as_str()).unwrap_or_else(|| AttrPath::new(attribute.clone()))
}

/// The values of a path, each with the whole value it is part of. Of a structured value without a path, its `value`.
fn values<'a>(
    path: &'a AttrPath,
    which: Values,
    attributes: &'a Attributes,
) -> impl Iterator<Item = (String, &'a Value)> {
    let most = if which == Values::First { 1 } else { VALUES_MAX };
    let plain = move |value: &'a Value| {
        let sub = path.sub.as_ref().map_or("value", |sub| sub.as_str());
        match value {
            Value::Record(record) => record.get(sub).map(|part| (part.to_plain(), value)),
            _ if path.sub.is_some() => None,
            _ => Some((value.to_plain(), value)),
        }
    };
    attributes.values(path.attribute.as_str()).iter().take(most).filter_map(plain)
}

/// The values of a path as they are compared.
fn texts(path: &AttrPath, item: &Item, attributes: &Attributes) -> Vec<String> {
    let texts = values(path, item.values, attributes).map(|(text, _)| normalise(item.normalise, &text));
    texts.filter(|text| !text.is_empty()).collect()
}
