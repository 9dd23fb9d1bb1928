//! What is expected, with the place of every part.

use provision_core::policy::RefusalReason;
use provision_core::value::Timestamp;

use super::given::instant;
use crate::document::{Data, Node, Place, Reader};

/// Something written at a place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) place: Place,
    pub(super) it: T,
}

/// What a case expects; what it does not speak of may be as it likes.
#[derive(Clone, Debug, Default)]
pub(super) struct Expectation {
    pub(super) roles: Listed,
    pub(super) accounts: Vec<At<AccountExpectation>>,
    pub(super) next_change_at: Option<At<Option<Timestamp>>>,
}

/// A list that is expected exactly, or in part.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) exactly: Option<At<Vec<String>>>,
    pub(super) includes: Vec<At<String>>,
    pub(super) excludes: Vec<At<String>>,
}

/// What is expected of one account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountExpectation {
    pub(super) address: String,
    pub(super) exists: Option<At<bool>>,
    pub(super) enabled: Option<At<Option<bool>>>,
    pub(super) values: Vec<At<(String, ExpectedValue)>>,
    /// No other values.
    pub(super) exactly: Option<Place>,
    pub(super) left_alone: Vec<At<String>>,
    pub(super) groups: Listed,
    pub(super) because: Vec<At<String>>,
    pub(super) refusals: Option<At<Vec<ExpectedRefusal>>>,
}

/// A value that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpectedValue {
    /// These values, as text.
    Texts(Vec<String>),
    /// The attribute is cleared.
    Cleared,
    /// No mapping counts: what an earlier one wrote is taken back.
    Withdrawn,
    /// A reference to the account of the person with this key.
    AccountOf(String),
}

/// A refusal that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExpectedRefusal {
    pub(super) reason: String,
    pub(super) attribute: Option<String>,
    pub(super) mapping: Option<String>,
}

/// Keys of `expect`.
pub(super) const EXPECT: &[&str] = &["roles", "accounts", "next_change_at"];
/// Keys of an account.
pub(super) const ACCOUNT: &[&str] =
    &["exists", "enabled", "values", "exactly", "left_alone", "groups", "because", "refusals"];
/// Reasons a policy refuses for.
const REASONS: &[RefusalReason] = &[
    RefusalReason::Unmappable,
    RefusalReason::MissingInput,
    RefusalReason::NameExhausted,
    RefusalReason::ExpressionFailed,
    RefusalReason::ValueInvalid,
    RefusalReason::Exclusive,
];

impl Expectation {
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Self {
        let fields = reader.fields(node, path, EXPECT);
        let mut expectation = Self::default();
        if let Some(node) = fields.get("roles") {
            expectation.roles = Listed::read(reader, node, &fields.path_of("roles"));
        }
        if let Some(node) = fields.get("accounts") {
            let path = fields.path_of("accounts");
            for (address, key, node) in reader.entries(node, &path) {
                if !address.contains('/') {
                    reader.wrong(key, &path, "`target/class`");
                    continue;
                }
                let it = AccountExpectation::read(reader, node, &format!("{path}.{address}"), address);
                expectation.accounts.push(At { place: key.place, it });
            }
        }
        if let Some(node) = fields.get("next_change_at") {
            let it = match node.data {
                Data::Null => None,
                _ => instant(reader, node, &fields.path_of("next_change_at")),
            };
            expectation.next_change_at = Some(At { place: node.place, it });
        }
        expectation
    }
}

impl Listed {
    fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Self {
        if let Data::List(items) = &node.data {
            let texts = reader.texts(node, path);
            // The first entry's line is where people look for a list.
            let place =
                items.first().map_or(node.place, |first| Place { end: first.place.end, ..node.place });
            return Self { exactly: Some(At { place, it: texts }), ..Self::default() };
        }
        let fields = reader.fields(node, path, &["exactly", "includes", "excludes"]);
        let each = |reader: &mut Reader<'_>, key: &str| each(reader, fields.get(key), &fields.path_of(key));
        let exactly = fields
            .get("exactly")
            .map(|node| At { place: node.place, it: reader.texts(node, &fields.path_of("exactly")) });
        Self { exactly, includes: each(reader, "includes"), excludes: each(reader, "excludes") }
    }
}

/// The texts of a list, each with its place.
fn each(reader: &mut Reader<'_>, node: Option<&Node>, path: &str) -> Vec<At<String>> {
    let Some(node) = node else { return Vec::new() };
    let items = reader.list(node, path);
    let text =
        |item: &Node| reader.text(item, path).map(|text| At { place: item.place, it: text.to_owned() });
    items.iter().filter_map(text).collect()
}

impl AccountExpectation {
    fn read(reader: &mut Reader<'_>, node: &Node, path: &str, address: &str) -> Self {
        let fields = reader.fields(node, path, ACCOUNT);
        let mut account = Self { address: address.to_owned(), ..Self::default() };
        if let Some(node) = fields.get("exists") {
            let found = reader.boolean(node, &fields.path_of("exists"));
            account.exists = found.map(|it| At { place: node.place, it });
        }
        if let Some(node) = fields.get("enabled") {
            let it = match node.data {
                Data::Null => None,
                _ => reader.boolean(node, &fields.path_of("enabled")),
            };
            account.enabled = Some(At { place: node.place, it });
        }
        if let Some(node) = fields.get("values") {
            let path = fields.path_of("values");
            for (name, key, node) in reader.entries(node, &path) {
                if let Some(value) = expected(reader, node, &format!("{path}.{name}")) {
                    let place = Place { end: node.place.end.max(key.place.end), ..key.place };
                    account.values.push(At { place, it: (name.to_owned(), value) });
                }
            }
        }
        if let Some(node) = fields.get("exactly")
            && reader.boolean(node, &fields.path_of("exactly")) == Some(true)
        {
            account.exactly = Some(node.place);
        }
        account.left_alone = each(reader, fields.get("left_alone"), &fields.path_of("left_alone"));
        account.because = each(reader, fields.get("because"), &fields.path_of("because"));
        if let Some(node) = fields.get("groups") {
            account.groups = Listed::read(reader, node, &fields.path_of("groups"));
        }
        if let Some(node) = fields.get("refusals") {
            let path = fields.path_of("refusals");
            let items = reader.list(node, &path);
            let it = items.iter().filter_map(|item| refusal(reader, item, &path)).collect();
            account.refusals = Some(At { place: node.place, it });
        }
        account
    }
}

fn expected(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<ExpectedValue> {
    match &node.data {
        Data::Null => Some(ExpectedValue::Cleared),
        Data::Text { text, .. } => Some(ExpectedValue::Texts(vec![text.clone()])),
        Data::List(_) => Some(ExpectedValue::Texts(reader.texts(node, path))),
        Data::Map(_) => {
            let fields = reader.fields(node, path, &["account_of", "withdrawn"]);
            if let Some(node) = fields.get("withdrawn") {
                return reader.boolean(node, path).filter(|yes| *yes).map(|_| ExpectedValue::Withdrawn);
            }
            let key = reader.required(&fields, "account_of")?;
            reader.text(key, path).map(|key| ExpectedValue::AccountOf(key.to_owned()))
        }
    }
}

fn refusal(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<ExpectedRefusal> {
    let words: Vec<(&str, &str)> = REASONS.iter().map(|reason| (reason.as_str(), reason.as_str())).collect();
    if !matches!(node.data, Data::Map(_)) {
        let reason = reader.word(node, path, &words)?.to_owned();
        return Some(ExpectedRefusal { reason, attribute: None, mapping: None });
    }
    let fields = reader.fields(node, path, &["reason", "attribute", "mapping"]);
    let reason = reader.required(&fields, "reason").and_then(|node| reader.word(node, path, &words));
    let mut text = |key: &str| {
        let found = fields.get(key).and_then(|node| reader.text(node, path));
        found.map(str::to_owned)
    };
    let (attribute, mapping) = (text("attribute"), text("mapping"));
    Some(ExpectedRefusal { reason: reason?.to_owned(), attribute, mapping })
}
