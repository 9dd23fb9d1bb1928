//! Our evaluation against the interpreter of the `cel` crate, on generated expressions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::collections::HashMap;

use support::grammar::{Dice, Grammar};
use support::{Names, account, attributes_of, evaluate, person, value};

/// Most expressions that are compared.
const EXPRESSIONS: usize = 3000;
/// The stack of the thread that runs the crate's interpreter: it recurses, and has no limit of its own.
const STACK: usize = 64 * 1024 * 1024;

/// The texts of a value as an attribute keeps them: empty ones and repetitions are none.
fn texts(value: &cel::Value, into: &mut Vec<String>) {
    let text = match value {
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => value.to_string(),
        cel::Value::String(text) => text.to_string(),
        cel::Value::List(items) => return items.iter().for_each(|item| texts(item, into)),
        other => format!("{other:?}"),
    };
    if !text.is_empty() && !into.contains(&text) {
        into.push(text);
    }
}

fn shown(value: &cel::Value) -> String {
    let mut found = Vec::new();
    texts(value, &mut found);
    if found.is_empty() { "(clear)".to_owned() } else { found.join(" | ") }
}

fn compare() {
    let seed = std::env::var("SEED").map_or(20_261_120, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut grammar = Grammar { dice: Dice(seed), cel: true };
    let expressions: Vec<String> = std::iter::repeat_with(|| grammar.any(3))
        .filter(|expression| expression.len() < 400)
        .take(EXPRESSIONS)
        .collect();
    let (bundle, expressions) = attributes_of(&expressions);
    let mut ann = person("1", &[("title", "Zoë"), ("nickName", "a"), ("userName", "b")]);
    ann.attributes.set("count", vec![7.into()]);
    ann.attributes.set("flag", vec![true.into()]);
    ann.attributes.set("list", vec!["a".into(), "Zoë".into(), "bb".into()]);
    ann.attributes.set("numbers", vec![3.into(), 5.into()]);
    let evaluation = evaluate(&bundle, &ann, &mut Names::default());
    let ours = account(&evaluation, "d");

    let mut context = cel::Context::default();
    let user: HashMap<String, cel::Value> = HashMap::from([
        ("title".to_owned(), "Zoë".into()),
        ("nickName".to_owned(), "a".into()),
        ("userName".to_owned(), "b".into()),
        ("count".to_owned(), 7_i64.into()),
        ("flag".to_owned(), true.into()),
        ("list".to_owned(), vec!["a", "Zoë", "bb"].into()),
        ("numbers".to_owned(), vec![3_i64, 5].into()),
    ]);
    context.add_variable_from_value("user", user);
    let mut compared = 0;
    for (index, expression) in expressions.iter().enumerate() {
        let program = cel::Program::compile(expression).unwrap();
        let Ok(theirs) = program.execute(&context) else { continue };
        assert_eq!(value(ours, &format!("a{index}")), shown(&theirs), "{expression}");
        compared += 1;
    }
    println!("{compared} of {} compared", expressions.len());
    assert!(compared > EXPRESSIONS * 9 / 10, "only {compared} were comparable");
}

#[test]
fn we_agree_with_the_interpreter_of_cel() {
    let run = std::thread::Builder::new().stack_size(STACK).spawn(compare);
    run.unwrap().join().unwrap();
}
