//! The JSON Schema of a bundle says what the loader says, as far as a schema can.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jsonschema::Validator;
use provision_policy::{Bundle, json_schema};
use serde_json::{Value, json};

fn at(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(at(name)).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&json_schema()).unwrap()
}

fn parsed(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn problems(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_in_the_documents_is_current() {
    let path = at("docs/spec/bundle.schema.json");
    let text = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "set UPDATE_GOLDEN=1 to write it");
    assert!(jsonschema::meta::is_valid(&json_schema()));
}

/// Every bundle of the examples and of the guide.
fn bundles() -> Vec<(String, String)> {
    let guide = read("docs/guide/policy.md");
    let blocks = guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks = blocks.filter(|text| !text.starts_with("tests:")).enumerate().map(|(number, text)| {
        let text = if text.starts_with("bundle:") { text.to_owned() } else { format!("bundle: 1\n{text}") };
        (format!("block {number} of the guide"), text)
    });
    let mut all: Vec<_> = blocks.collect();
    let folder = at("examples/data/bundle");
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        all.push((entry.path().display().to_string(), std::fs::read_to_string(entry.path()).unwrap()));
    }
    for name in [
        "examples/data/phone-book.yaml",
        "provision-policy/tests/bundles/active_directory.yaml",
        "provision-policy/tests/bundles/joint_names.yaml",
        "provision-policy/tests/policy_tests/policy.yaml",
    ] {
        all.push((name.to_owned(), read(name)));
    }
    all
}

#[test]
fn bundles_that_load_are_valid() {
    let (validator, bundles) = (validator(), bundles());
    assert!(bundles.len() > 12);
    for (name, text) in bundles {
        assert_eq!(problems(&validator, &parsed(&text)), Vec::<String>::new(), "{name}");
    }
}

/// The tables of keys of the specification, by the name of what they belong to in the schema.
fn tables() -> BTreeMap<String, BTreeSet<String>> {
    let names = BTreeMap::from([
        ("Top level 1", ""),
        ("Lookup 1", "lookup"),
        ("Table 1", "table"),
        ("Rule 2", "role_rows"),
        ("Namespace 1", "namespace"),
        ("Role 1", "role"),
        ("Role 2", "grant"),
        ("Role 3", "own_grant"),
        ("Rule 1", "rule"),
        ("Policy map 1", "map"),
        ("Policy map 2", "mapping"),
        ("Policy map 3", "bound"),
        ("Policy map 4", "together"),
        ("Name pattern 1", "name"),
    ]);
    let spec = read("docs/spec/bundle.md");
    let (mut heading, mut number) = (String::new(), 0);
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table: Option<String> = None;
    for line in spec.lines() {
        if line.starts_with('#') {
            (heading, number) = (line.trim_start_matches('#').trim().to_owned(), 0);
        }
        if line.starts_with("| key |") {
            number += 1;
            let key = format!("{heading} {number}");
            let name = names.get(key.as_str()).unwrap_or_else(|| {
                panic!("a table of keys that the schema does not know: {key}; add it to src/json_schema.rs and here")
            });
            table = Some((*name).to_owned());
        } else if !line.starts_with('|') {
            table = None;
        } else if let Some(table) = &table {
            let cell = line.split('|').nth(1).unwrap_or_default();
            let keys = cell.split('`').skip(1).step_by(2).map(str::to_owned);
            tables.entry(table.clone()).or_default().extend(keys);
        }
    }
    tables
}

#[test]
fn the_schema_has_the_keys_of_the_specification_and_no_others() {
    let schema = json_schema();
    let keys = |schema: &Value| -> BTreeSet<String> {
        let object = match schema.get("anyOf").filter(|_| schema.get("properties").is_none()) {
            Some(either) => {
                either.as_array().unwrap().iter().find(|one| one.get("properties").is_some()).unwrap()
            }
            None => schema,
        };
        object["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let tables = tables();
    assert_eq!(tables.len(), 14, "{tables:?}");
    for (name, listed) in tables {
        let found = if name.is_empty() { keys(&schema) } else { keys(&schema["$defs"][&name]) };
        assert_eq!(found, listed, "keys of {name:?}: in the schema, in docs/spec/bundle.md");
    }
}

/// Every place in a document, as steps from the top.
fn places(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(path.clone());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        path.push(key);
        places(child, path, found);
        path.pop();
    }
}

fn step<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        other => other.get_mut(key).unwrap(),
    }
}

/// The document with the place changed in every way that a person might.
fn mutations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    places(document, &mut Vec::new(), &mut all);
    let mut found = Vec::new();
    for path in all.iter().filter(|path| !path.is_empty()) {
        let mut change = |what: &str, edit: &dyn Fn(&mut Value, &str)| {
            let mut changed = document.clone();
            let (last, before) = path.split_last().unwrap();
            let parent = before.iter().fold(&mut changed, |value, key| step(value, key));
            edit(parent, last);
            found.push((format!("{} {what}", path.join(".")), changed));
        };
        for other in [
            json!(5),
            json!(true),
            json!(null),
            json!("word"),
            json!([]),
            json!({}),
            json!(["x"]),
            json!({"x": "y"}),
        ] {
            change(&format!("= {other}"), &|parent, key| *step(parent, key) = other.clone());
        }
        change("removed", &|parent, key| match parent {
            Value::Object(fields) => drop(fields.remove(key)),
            Value::Array(items) => drop(items.remove(key.parse().unwrap())),
            _ => {}
        });
        change("misspelt", &|parent, key| {
            if let Value::Object(fields) = parent
                && let Some(value) = fields.remove(key)
            {
                fields.insert(format!("{key}x"), value);
            }
        });
        change("with another key inside", &|parent, key| {
            if let Value::Object(fields) = step(parent, key) {
                fields.insert("zzz".to_owned(), json!("x"));
            }
        });
    }
    found
}

/// A bundle with every key, so that every key is tried.
const EVERY_KEY: &str = r#"
bundle: 1
version: first
description: Every key
locale: de
inputs: [badge, { level: number }]
reserved: [boss]
lookups:
  floor: { map: { Sales: 1st }, default: none }
tables:
  posts:
    description: Positions
    key: id
    case: ignore
    columns: { id: text, floor: text, size: number, roles: list }
    separator: ";"
    delimiter: ","
    default: { floor: none, roles: [] }
    rows: [{ id: a, floor: "1", size: 3, roles: [staff] }]
values:
  flag: user.department == "Sales"
namespaces:
  login:
    description: Of machines
    case: ignore
    reuse_after_days: 30
    members: [{ target: crm, class: contact, attribute: nick }]
roles:
  staff: { description: All, includes: [sales], grants: [{ account: crm/contact }] }
  sales: { grants: [{ group: sellers, on: crm/contact, group_class: group, privileged: true }] }
rules:
  - { id: all, description: All, state: active, when: 'true', unless: value.flag, roles: [staff] }
  - { id: rows, when: 'true', roles: { table: posts, key: user.title, column: roles, missing: none } }
targets:
  crm:
    authority: assist
    contact:
      description: Who buys
      exists: value.flag
      enabled: 'lifecycle == "active"'
      pre_hire: { lead_days: 7 }
      authority: enforce
      credential: { length: 20, must_change: true }
      names:
        - login:
            namespace: login
            max: 20
            allow: a-z
            case: lower
            separator: "."
            counter_separator: "-"
            suffix: "@x"
            scope: '"here"'
            strength: weak
            parts: [user.familyName, { value: user.givenName, max: 1 }]
      attributes:
        title: user.title
        floor: { value: 'lookup("floor", user.department)', strength: strong, when: value.flag, when_null: keep }
        phones:
          each: [{ value: user.nickName, state: proposed }, key]
          strength: normal
          foreign: remove
          keep: ["a*"]
          remove: [b]
        mails:
          value: user.emails
          range: ["x*"]
          exclusive: true
          authoritative: true
          from: { date: today, offset_days: -3, at: end }
          until: today
          state: active
        nick: [{ value: user.nickName, when_null: { default: user.givenName } }, key]
"#;

/// What a schema of one file cannot know.
fn is_beyond_a_schema(what: &str, said: &str) -> bool {
    // Which cells a row has is what `columns` says.
    let of_rows = ["tables.posts.rows", "tables.posts.columns", "tables.posts.default"];
    of_rows.iter().any(|part| what.starts_with(part)) && said.contains("P0004")
        // The version stands in one of several files.
        || what == "version removed"
        // Sets of characters have a syntax of their own.
        || what.contains(".allow =")
}

#[test]
fn the_schema_refuses_what_the_loader_refuses_and_accepts_what_it_accepts() {
    let validator = validator();
    let document = parsed(EVERY_KEY);
    assert!(loads(&document).is_ok(), "{:?}", loads(&document));
    let (mut refused, mut accepted) = (0, 0);
    let mutations = mutations(&document);
    let mut differ = Vec::new();
    for (what, changed) in &mutations {
        let valid = validator.is_valid(changed);
        match loads(changed) {
            Ok(()) if valid => accepted += 1,
            Ok(()) if what.contains("description") => {}
            Ok(()) => {
                differ.push(format!("{what}: loads, and is refused: {:?}", problems(&validator, changed)))
            }
            Err(said) => {
                let of_form = ["P0004", "P0005", "P0006", "P0007"].iter().any(|code| said.contains(code));
                if valid && of_form && !is_beyond_a_schema(what, &said) {
                    let first: Vec<&str> = said.lines().filter(|line| line.starts_with("error")).collect();
                    differ.push(format!("{what}: is accepted, and does not load: {first:?}"));
                }
                refused += usize::from(!valid);
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    println!("{} mutations: {refused} refused by both, {accepted} accepted by both", mutations.len());
    assert!(refused > 500 && accepted > 50, "{refused} {accepted}");
}

fn loads(document: &Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(document).unwrap();
    match Bundle::load(&[("policy.json", &text)]) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
    }
}
