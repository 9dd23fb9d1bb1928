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
use std::fmt::Write as _;

use provision_policy::Bundle;
use support::{Names, account, evaluate, person, value};

/// A small generator with a seed: the same seed gives the same expressions.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    fn number(&mut self, depth: u32) -> String {
        match self.roll(if depth == 0 { 2 } else { 8 }) {
            0 => self.roll(12).to_string(),
            1 => "user.count".to_owned(),
            2 => format!("({} + {})", self.number(depth - 1), self.number(depth - 1)),
            3 => format!("({} - {})", self.number(depth - 1), self.number(depth - 1)),
            4 => format!("{} * {}", self.roll(9), self.number(depth - 1)),
            5 => format!("size({})", self.text(depth - 1)),
            6 => format!("({} / 3 + -({}) % 4)", self.number(depth - 1), self.number(depth - 1)),
            _ => format!(
                "({} ? {} : {})",
                self.truth(depth - 1),
                self.number(depth - 1),
                self.number(depth - 1)
            ),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        match self.roll(if depth == 0 { 2 } else { 4 }) {
            0 => self.pick(&["'a'", "'Zoë'", "\"it's\"", "'b\\u00e9'", "r'\\d'", "'''x'''", "''"]).to_owned(),
            1 => self.pick(&["user.title", "user.nickName", "user.name"]).to_owned(),
            2 => format!("({} + {})", self.text(depth - 1), self.text(depth - 1)),
            _ => format!("({} ? {} : {})", self.truth(depth - 1), self.text(depth - 1), self.text(depth - 1)),
        }
    }

    fn truth(&mut self, depth: u32) -> String {
        match self.roll(if depth == 0 { 2 } else { 14 }) {
            0 => self.pick(&["true", "false"]).to_owned(),
            1 => "user.flag".to_owned(),
            2 => {
                let operator = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("{} {operator} {}", self.number(depth - 1), self.number(depth - 1))
            }
            3 => {
                let operator = self.pick(&["<", ">=", "==", "!="]);
                format!("{} {operator} {}", self.text(depth - 1), self.text(depth - 1))
            }
            4 => format!("({} && {})", self.truth(depth - 1), self.truth(depth - 1)),
            5 => format!("({} || {})", self.truth(depth - 1), self.truth(depth - 1)),
            6 => format!("!({})", self.truth(depth - 1)),
            7 => format!("{} in [1, {}]", self.number(depth - 1), self.number(depth - 1)),
            8 => format!("{}.contains({})", self.text(depth - 1), self.text(depth - 1)),
            9 => format!("{}.startsWith({})", self.text(depth - 1), self.text(depth - 1)),
            10 => format!("user.list.exists(x, x == {})", self.text(0)),
            11 => format!("user.list.all(x, size(x) > {})", self.roll(3)),
            12 => format!("user.list.filter(x, x != {}).size() == {}", self.text(0), self.roll(4)),
            _ => format!("user.list.map(x, x + 'z').exists_one(x, x.endsWith({}))", self.text(0)),
        }
    }
}

fn shown(value: &cel::Value) -> String {
    match value {
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => value.to_string(),
        cel::Value::String(text) if text.is_empty() => "(clear)".to_owned(),
        cel::Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn we_agree_with_the_interpreter_of_cel() {
    let seed = 20_261_120;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut expressions = Vec::new();
    while expressions.len() < 1500 {
        let expression = match dice.roll(3) {
            0 => dice.number(3),
            1 => dice.text(3),
            _ => dice.truth(3),
        };
        if expression.len() < 300 {
            expressions.push(expression);
        }
    }
    let mut bundle = "bundle: 1\nversion: a\ninputs: [count, flag, list]\nroles:\n  r: { grants: [{ account: d/u }] }\n\
                      rules:\n  - { id: all, when: 'true', roles: [r] }\ntargets:\n  d:\n    u:\n      attributes:\n"
        .to_owned();
    for (index, expression) in expressions.iter().enumerate() {
        writeln!(bundle, "        a{index}: |\n          {expression}").unwrap();
    }
    let bundle = Bundle::load(&[("policy.yaml", &bundle)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().take(5).map(|problem| format!("{problem}\n")).collect::<String>())
    });
    let mut ann = person("1", &[("title", "Zoë"), ("nickName", "a"), ("name", "b")]);
    ann.attributes.set("count", vec![7.into()]);
    ann.attributes.set("flag", vec![true.into()]);
    ann.attributes.set("list", vec!["a".into(), "Zoë".into(), "bb".into()]);
    let evaluation = evaluate(&bundle, &ann, &mut Names::default());
    let ours = account(&evaluation, "d");

    let mut context = cel::Context::default();
    let user: HashMap<String, cel::Value> = HashMap::from([
        ("title".to_owned(), "Zoë".into()),
        ("nickName".to_owned(), "a".into()),
        ("name".to_owned(), "b".into()),
        ("count".to_owned(), 7_i64.into()),
        ("flag".to_owned(), true.into()),
        ("list".to_owned(), vec!["a", "Zoë", "bb"].into()),
    ]);
    context.add_variable_from_value("user", user);
    let mut compared = 0;
    for (index, expression) in expressions.iter().enumerate() {
        let program = cel::Program::compile(expression).unwrap();
        let Ok(theirs) = program.execute(&context) else { continue };
        assert_eq!(value(ours, &format!("a{index}")), shown(&theirs), "{expression}");
        compared += 1;
    }
    assert!(compared > 1400, "only {compared} were comparable");
}
