//! Stacks are large enough: whatever the scanner lets through is parsed on a quarter of the loading thread's, and
//! evaluated on a quarter of what threads usually have. In child processes, because a stack that overflows aborts.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use std::process::Command;

use super::scan::{DEPTH_MAX, LENGTH_MAX, OPERATORS_MAX, scan};
use super::soundness::support::{Names, attributes_without, evaluate, person};
use super::{STACK, Vocabulary, parse};

const CHILD: &str = "STACK_CHILD";

/// A small generator with a seed: the same seed gives the same expressions.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

/// An expression as deep and as long as the scanner lets through: wrapped until it does not.
fn deepest(dice: &mut Dice, leaf: &str, wraps: &[(&str, &str)]) -> String {
    let mut text = leaf.to_owned();
    loop {
        let (before, after) = wraps.get(dice.roll(wraps.len())).copied().unwrap_or(("(", ")"));
        let wrapped = format!("{before}{text}{after}");
        if scan(&wrapped).is_err() {
            return text;
        }
        text = wrapped;
    }
}

fn shapes() -> Vec<String> {
    let wraps: &[(&str, &str)] = &[
        ("(", ")"),
        ("[", "]"),
        ("lower(", ")"),
        ("!", ""),
        ("-", ""),
        ("", "+1"),
        ("1+", ""),
        ("", "&&b"),
        ("b||", ""),
        ("b?", ":c"),
        ("b?c:", ""),
        ("b?", ":1"),
        ("", "[0]"),
        ("b[", "]"),
        ("", ".c"),
        ("", ".f()"),
        ("", ".exists(x,x)"),
        ("b.map(x,", ")"),
        ("b.filter(x,", ")"),
        ("{1:", "}"),
        ("c{d:", "}"),
        ("has(b.c)?", ":d"),
        ("b in ", ""),
        ("", "==b"),
        ("first_nonempty(", ",b)"),
    ];
    let mut dice = Dice(20_261_120);
    let mut found: Vec<String> = wraps.iter().map(|wrap| deepest(&mut dice, "a", &[*wrap])).collect();
    for _ in 0..300 {
        let some: Vec<_> =
            (0..1 + dice.roll(4)).map(|_| *wraps.get(dice.roll(wraps.len())).unwrap()).collect();
        found.push(deepest(&mut dice, "a", &some));
    }
    // Also what is not an expression: unclosed, and as long as may be.
    found.push(format!("{}{}", "(".repeat(DEPTH_MAX), "a".repeat(LENGTH_MAX - DEPTH_MAX)));
    found.push("a\n".repeat(LENGTH_MAX / 2));
    found.push("\"".repeat(LENGTH_MAX));
    found.push("a ".repeat(LENGTH_MAX / 2));
    found.push("1 ".repeat(LENGTH_MAX / 2));
    found.push(":".repeat(LENGTH_MAX));
    found.push("a ".repeat(100) + &"+".repeat(OPERATORS_MAX));
    found.push("\\".repeat(LENGTH_MAX));
    found.push("`".repeat(LENGTH_MAX));
    found.push(";".repeat(LENGTH_MAX));
    found
}

/// Expressions that are true or false, as deep and as long as may be: these are evaluated too.
fn truths() -> Vec<String> {
    let wraps: &[(&str, &str)] = &[
        ("(", ")"),
        ("!", ""),
        ("true&&", ""),
        ("", "&&true"),
        ("false||", ""),
        ("true?", ":true"),
        ("false?true:", ""),
        ("[", "][0]"),
        ("first_nonempty(", ")"),
        ("values(", ")[0]"),
        ("true==", ""),
        ("", "==true"),
        ("[1].exists(x,", ")"),
    ];
    let mut dice = Dice(20_261_121);
    let mut found = Vec::new();
    for number in 0..300 {
        let some: Vec<_> = (0..1 + number % 3).map(|_| *wraps.get(dice.roll(wraps.len())).unwrap()).collect();
        found.push(deepest(&mut dice, "true", &some));
    }
    found
}

/// The child's side.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let shapes = shapes();
    for shape in &shapes {
        assert_eq!(scan(shape), Ok(()), "{shape}");
    }
    let count = shapes.len();
    let parsing = std::thread::Builder::new()
        .stack_size(STACK / 4)
        .spawn(move || shapes.iter().filter(|shape| parse(shape, &Vocabulary::default()).is_err()).count());
    let refused = parsing.unwrap().join().unwrap();
    println!("came through: {count} parsed, {refused} of them not of the language");
    let (bundle, kept) = attributes_without(&truths(), &|_| {});
    assert!(kept.len() > 150, "{}", kept.len());
    let run = move || evaluate(&bundle, &person("1", &[]), &mut Names::default()).accounts.len();
    let evaluating = std::thread::Builder::new().stack_size(512 * 1024).spawn(run);
    assert_eq!(evaluating.unwrap().join().unwrap(), 1);
    println!("came through: {} evaluated", kept.len());
}

#[test]
fn what_the_scanner_lets_through_needs_a_part_of_the_stack() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "expression::stack::child", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let came = text.matches("came through: ").count();
    assert!(output.status.success() && came == 2, "{}\n{text}\n{error}", output.status);
}
