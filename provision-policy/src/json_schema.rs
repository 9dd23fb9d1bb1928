//! The JSON Schema of a bundle's file, for editors: draft 2020-12. A new key is one line in its table here; a test
//! holds the tables against those of `docs/spec/bundle.md`.

use serde_json::{Map, Value, json};

/// A key, what it holds, and for people.
type Key = (&'static str, Value, &'static str);

/// The JSON Schema of one file of a bundle.
///
/// It refuses unknown keys and wrong kinds of values, and offers the keys with their meaning. What it cannot know is
/// found by [`crate::Bundle::load`]: whether expressions are right, whether names are defined, and what several files
/// say together.
pub fn json_schema() -> Value {
    let mut root = object(&["bundle"], top());
    if let Some(fields) = root.as_object_mut() {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".to_owned(), json!("A policy bundle, format 1"));
        let definitions: Map<String, Value> =
            definitions().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        fields.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

fn definitions() -> Vec<(&'static str, Value)> {
    vec![
        // Whatever is no list, mapping or null reads as text.
        ("text", json!({ "type": ["string", "number", "boolean"] })),
        (
            "expression",
            json!({ "type": ["string", "number", "boolean"], "description": "an expression in CEL syntax" }),
        ),
        ("address", json!({ "type": "string", "pattern": "^[^/]+/[^#]+(#[^#/]+)?$" })),
        ("lookup", object(&["map"], lookup())),
        ("table", table_schema()),
        ("cells", map_of(either(&[of("text"), list(of("text")), null()]))),
        ("role_rows", object(&["table", "key", "column"], role_rows())),
        ("namespace", object(&[], namespace())),
        ("role", object(&[], role())),
        (
            "account_grant",
            object(&["account"], vec![("account", of("address"), "target/class, target/class#tag")]),
        ),
        ("grant", object(&["group", "on"], grant())),
        ("own_grant", object(&["own_group", "on"], own_grant())),
        ("rule", object(&["id", "when", "roles"], rule())),
        ("target", target()),
        ("map", object(&[], map())),
        ("bound", object(&["date"], bound())),
        ("together", object(&["each"], together())),
        ("mapping", either(&[of("expression"), object(&["value"], mapping())])),
        ("name", object(&["namespace", "parts"], name())),
    ]
}

fn top() -> Vec<Key> {
    vec![
        ("bundle", json!({ "enum": [1, "1"] }), "the format"),
        ("version", of("text"), "the author's label, recorded with plans and writes; in one of the files"),
        ("description", of("text"), "text for people"),
        ("locale", of("text"), "spelling of names for people without a locale of their own"),
        (
            "inputs",
            list(either(&[of("text"), json!({ "type": "object", "additionalProperties": words(INPUTS) })])),
            "attributes beyond the SCIM ones: `name` or `name: kind`",
        ),
        ("reserved", list(of("text")), "names that nobody gets"),
        ("lookups", map_of(of("lookup")), "texts by key"),
        ("tables", map_of(of("table")), "rows with several columns, by key"),
        ("values", map_of(of("expression")), "expressions shared as `value.NAME`"),
        ("namespaces", map_of(of("namespace")), "where generated names are unique"),
        ("roles", map_of(of("role")), "roles by name"),
        ("rules", list(of("rule")), "who has which roles"),
        ("targets", map_of(of("target")), "target: class: policy map"),
    ]
}

/// The classes of a target; a word under `authority` is for all of them.
fn target() -> Value {
    let mut classes = map_of(of("map"));
    if let Some(fields) = classes.as_object_mut() {
        fields
            .insert("properties".to_owned(), json!({ "authority": either(&[words(AUTHORITY), of("map")]) }));
    }
    classes
}

/// How far attributes of accounts that are there are written.
const AUTHORITY: &[&str] = &["observe", "assist", "enforce"];

/// Kinds of inputs.
const INPUTS: &[&str] =
    &["text", "number", "truth", "date", "instant", "list", "list of text", "list of number", "list of date"];

fn table() -> Vec<Key> {
    vec![
        ("description", of("text"), "text for people"),
        ("key", of("text"), "the column that holds the key"),
        ("case", words(&["exact", "ignore"]), "when two keys are one"),
        ("columns", map_of(words(&["text", "number", "truth", "date", "list"])), "column: what it holds"),
        ("separator", sign(), "between the values of a list in one cell; `|`"),
        ("delimiter", sign(), "between the cells of a file; `,`"),
        ("default", of("cells"), "the row for keys without row and for a null key"),
        ("rows", list(of("cells")), "rows: `{ column: value }`"),
        ("file", of("text"), "instead of `rows`: a CSV file beside this one"),
    ]
}

/// A table has its rows here, or in a file.
fn table_schema() -> Value {
    let mut schema = object(&["key", "columns"], table());
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("anyOf".to_owned(), json!([{ "required": ["rows"] }, { "required": ["file"] }]));
    }
    schema
}

fn role_rows() -> Vec<Key> {
    vec![
        ("table", of("text"), "name of the table"),
        ("key", of("expression"), "the key, or a list of keys"),
        ("column", of("text"), "the column with the roles"),
        ("missing", words(&["refuse", "none"]), "what a key without row means"),
    ]
}

fn lookup() -> Vec<Key> {
    vec![
        ("map", map_of(of("text")), "key: text"),
        ("default", either(&[of("text"), null()]), "for keys without row and for a null key"),
    ]
}

fn namespace() -> Vec<Key> {
    let member = vec![
        ("target", of("text"), "the target"),
        ("class", of("text"), "the class"),
        ("attribute", of("text"), "the attribute"),
    ];
    vec![
        ("description", of("text"), "text for people"),
        ("case", words(&["ignore", "exact"]), "when two names are one"),
        (
            "reuse_after_days",
            either(&[number(0, 36_500), null()]),
            "a name given up is free again after so many days",
        ),
        (
            "members",
            list(object(&["target", "class", "attribute"], member)),
            "further attributes whose values take names",
        ),
    ]
}

fn role() -> Vec<Key> {
    vec![
        ("description", of("text"), "text for people; maps of roles read it"),
        ("labels", map_of(of("text")), "texts that maps of roles read"),
        ("formerly", list(of("text")), "names that the role had before"),
        ("includes", list(of("text")), "other roles"),
        ("grants", list(either(&[of("account_grant"), of("grant"), of("own_grant")])), "accounts and groups"),
    ]
}

fn grant() -> Vec<Key> {
    vec![
        ("group", of("text"), "key of the group on the target"),
        ("on", of("address"), "target/class of the account"),
        ("group_class", of("text"), "class of the group object; `group`"),
        ("privileged", truth(), "granting it counts as privileged"),
    ]
}

fn own_grant() -> Vec<Key> {
    vec![
        ("own_group", of("address"), "target/class of the group that stands for the role"),
        ("on", of("address"), "target/class of the account"),
        ("privileged", truth(), "granting it counts as privileged"),
    ]
}

fn rule() -> Vec<Key> {
    vec![
        ("id", of("text"), "unique; explanations name it `rules.ID`"),
        ("description", of("text"), "text for people"),
        ("state", words(STATES), "whether it counts"),
        ("when", of("expression"), "while true, the person has the roles"),
        ("unless", of("expression"), "while true, the rule does not count"),
        (
            "roles",
            either(&[list(of("text")), of("role_rows")]),
            "the roles, or the row of a table that names them",
        ),
    ]
}

fn map() -> Vec<Key> {
    let lead = vec![("lead_days", number(0, 366), "days before the first day")];
    let credential =
        vec![("length", number(8, 256), "characters"), ("must_change", truth(), "at the first sign-in")];
    vec![
        ("description", of("text"), "text for people"),
        ("of", words(&["identity", "role"]), "what the objects of the class stand for"),
        ("exists", of("expression"), "condition, besides roles and lifecycle"),
        ("enabled", of("expression"), "condition; without it the policy does not say"),
        ("pre_hire", object(&["lead_days"], lead), "the account is there before the first day"),
        ("credential", object(&[], credential), "initial password of a new account"),
        ("authority", words(AUTHORITY), "how far attributes of accounts that are there are written"),
        ("names", list(map_of(of("name"))), "generated names; those in one entry share a counter"),
        (
            "attributes",
            map_of(either(&[of("mapping"), array(of("mapping"), 0), of("together")])),
            "attribute: mapping, or a list of mappings",
        ),
    ]
}

fn mapping() -> Vec<Key> {
    let default = vec![("default", of("expression"), "another value")];
    vec![
        ("value", of("expression"), "the value"),
        ("strength", words(STRENGTHS), "when it is written"),
        ("when", of("expression"), "condition for the mapping to count"),
        ("from", either(&[of("expression"), of("bound")]), "when it begins to count"),
        ("until", either(&[of("expression"), of("bound")]), "when it ends to count"),
        ("authoritative", truth(), "`false`: what it gave is not taken away when it gives it no more"),
        ("exclusive", truth(), "two exclusive mappings that give values refuse the account"),
        (
            "range",
            either(&[words(&["produced", "all"]), array(of("text"), 0)]),
            "values of a set that it takes away",
        ),
        ("state", words(STATES), "whether it counts"),
        (
            "when_null",
            either(&[words(&["clear", "keep", "refuse"]), object(&["default"], default)]),
            "what null does",
        ),
    ]
}

/// Whether rules and mappings count.
const STATES: &[&str] = &["draft", "proposed", "active"];

fn bound() -> Vec<Key> {
    vec![
        (
            "date",
            of("expression"),
            "gives a date, or an instant, of which the date in the person's zone counts",
        ),
        (
            "offset_days",
            json!({ "type": "integer", "minimum": -3660, "maximum": 3660 }),
            "so many days later",
        ),
        ("at", words(&["start", "end"]), "of the day"),
    ]
}

fn together() -> Vec<Key> {
    vec![
        ("each", array(of("mapping"), 1), "each mapping that counts gives values"),
        ("strength", words(STRENGTHS), "of all of them"),
        ("foreign", words(&["keep", "remove"]), "what becomes of values that nobody here gives"),
        ("keep", list(of("text")), "patterns of foreign values that stay"),
        ("remove", list(of("text")), "patterns of foreign values that go"),
    ]
}

/// Strengths of mappings.
const STRENGTHS: &[&str] = &["strong", "normal", "weak", "create_only"];

fn name() -> Vec<Key> {
    let part =
        vec![("value", of("expression"), "the part"), ("max", number(1, 256), "most characters of it")];
    let parts = array(either(&[of("expression"), object(&["value"], part)]), 1);
    vec![
        ("namespace", of("text"), "where it is unique"),
        ("parts", parts, "expressions, or `{ value, max }`"),
        ("max", number(6, 256), "most characters with counter, without suffix"),
        ("allow", of("text"), "characters it may hold, as in `a-z0-9._-`"),
        ("case", words(&["lower", "keep"]), "of letters"),
        ("separator", of("text"), "between parts"),
        ("counter_separator", of("text"), "before the counter"),
        ("suffix", of("text"), "after the counter"),
        ("scope", of("expression"), "unique among those with the same scope"),
        ("strength", words(STRENGTHS), "when it is written"),
    ]
}

/// A mapping with these keys and no others; where none is required it may be left empty.
fn object(required: &[&str], keys: Vec<Key>) -> Value {
    let mut properties = Map::new();
    for (name, mut schema, description) in keys {
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".to_owned(), json!(description));
        }
        properties.insert(name.to_owned(), schema);
    }
    let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    json!({ "type": kind, "properties": properties, "required": required, "additionalProperties": false })
}

/// A mapping with any keys.
fn map_of(schema: Value) -> Value {
    json!({ "type": ["object", "null"], "propertyNames": { "minLength": 1 }, "additionalProperties": schema })
}

fn list(schema: Value) -> Value {
    json!({ "type": ["array", "null"], "items": schema })
}

/// A list that may not be left empty, or not without so many.
fn array(schema: Value, least: u32) -> Value {
    json!({ "type": "array", "items": schema, "minItems": least })
}

fn of(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

fn either(schemas: &[Value]) -> Value {
    json!({ "anyOf": schemas })
}

fn words(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn number(low: u32, high: u32) -> Value {
    json!({ "type": "integer", "minimum": low, "maximum": high })
}

/// One character that is no letter, digit or quote.
fn sign() -> Value {
    json!({ "type": "string", "pattern": "^[^\\p{L}\\p{N}\"]$" })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn null() -> Value {
    json!({ "type": "null" })
}
