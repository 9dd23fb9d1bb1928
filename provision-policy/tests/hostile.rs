//! Hostile input, each in a child process: an abort (a stack overflow, memory) is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::fmt::Write as _;
use std::process::Command;

use provision_policy::Bundle;
use support::{Names, account, evaluate, person};

const CASE: &str = "HOSTILE_CASE";

/// What a case must come to.
enum Expect {
    /// Refused with this code.
    Refused(&'static str),
    /// Loads, and evaluates.
    Works,
}
use Expect::{Refused, Works};

fn with_attribute(expression: &str) -> String {
    format!(
        "bundle: 1\nversion: a\nroles:\n  r: {{ grants: [{{ account: directory/user }}] }}\n\
         rules:\n  - {{ id: all, when: 'true', roles: [r] }}\n\
         targets:\n  directory:\n    user:\n      attributes:\n        a: |\n          {expression}\n"
    )
}

fn roles(count: usize, closed: bool) -> String {
    let mut text =
        "bundle: 1\nversion: a\nrules:\n  - { id: all, when: 'true', roles: [r0] }\nroles:\n".to_owned();
    for number in 0..count {
        let next = if closed { (number + 1) % count } else { (number + 1).min(count - 1) };
        let includes = if next == number { String::new() } else { format!("includes: [r{next}]") };
        writeln!(text, "  r{number}: {{ {includes} }}").unwrap();
    }
    text
}

fn doubling() -> String {
    let mut text = "bundle: 1\nversion: a\nvalues:\n  v0: user.title\n".to_owned();
    for number in 1..64 {
        writeln!(text, "  v{number}: value.v{0} + value.v{0}", number - 1).unwrap();
    }
    let rest = with_attribute("value.v63");
    text + rest.strip_prefix("bundle: 1\nversion: a\n").unwrap()
}

fn aliases() -> String {
    let mut text = "bundle: 1\nversion: a\nl0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for number in 1..12 {
        let below = number - 1;
        let items = vec![format!("*l{below}"); 10].join(", ");
        writeln!(text, "l{number}: &l{number} [{items}]").unwrap();
    }
    text
}

/// Every case: its name, the text, what must come of it.
fn cases() -> Vec<(&'static str, String, Expect)> {
    let nested = |open: &str, close: &str, depth: usize| {
        with_attribute(&format!("{}user.title{}", open.repeat(depth), close.repeat(depth)))
    };
    vec![
        ("flow_nesting", format!("bundle: {}", "[".repeat(1_000_000)), Refused("P000")),
        ("map_nesting", format!("bundle: {}", "{a: ".repeat(500_000)), Refused("P000")),
        ("block_nesting", "- ".repeat(200_000), Refused("P000")),
        ("ten_megabytes", format!("bundle: 1\nversion: {}\n", "a".repeat(10_000_000)), Refused("P0002")),
        ("many_nodes", format!("bundle: 1\ninputs: [{}]\n", "a, ".repeat(900_000)), Refused("P0002")),
        ("alias_bomb", aliases(), Refused("P0002")),
        ("nul_bytes", "bundle: 1\0\0\0\nversion: \0".to_owned(), Refused("P000")),
        ("long_line_of_keys", format!("bundle: 1\n{}", "x".repeat(3_000_000)), Refused("P000")),
        ("parentheses", nested("(", ")", 2_000), Refused("P0020")),
        ("parentheses_unclosed", nested("(", "", 2_000), Refused("P0020")),
        ("lists", nested("[", "]", 2_000), Refused("P0020")),
        ("ten_thousand_terms", with_attribute(&vec!["a"; 10_000].join("+")), Refused("P0020")),
        ("two_thousand_terms", with_attribute(&vec!["1"; 2_000].join("+")), Refused("P0020")),
        ("nots", with_attribute(&format!("{}true", "!".repeat(4_000))), Refused("P0020")),
        ("minuses", with_attribute(&format!("{}1", "- ".repeat(2_000))), Refused("P0020")),
        ("selects", with_attribute(&format!("user{}", ".a".repeat(2_000))), Refused("P0020")),
        ("conditions", with_attribute(&format!("{}1", "true ? 1 : ".repeat(300))), Refused("P0020")),
        ("unclosed_text", with_attribute(&format!("'{}", "(".repeat(3_000))), Refused("P0021")),
        ("escaped_quote", with_attribute(&format!("r'\\'{}", "(".repeat(3_000))), Refused("P0020")),
        ("triple_quotes", with_attribute(&format!("''''{}", "(".repeat(3_000))), Refused("P0021")),
        ("comment", with_attribute(&format!("// {}\n          1", "(".repeat(3_000))), Works),
        // Exactly at the limits: these must parse, on the thread that loads, in a debug build.
        ("limit_parentheses", nested("(", ")", 32), Works),
        ("limit_lists", nested("[", "]", 32), Works),
        ("limit_calls", nested("upper(", ")", 32), Works),
        ("limit_terms", with_attribute(&vec!["user.title"; 33].join("+")), Refused("P0020")),
        ("limit_additions", with_attribute(&vec!["1"; 65].join("+")), Works),
        ("limit_ands", with_attribute(&vec!["true"; 65].join("&&")), Works),
        ("limit_nots", with_attribute(&format!("{}true", "!".repeat(64))), Works),
        ("limit_minuses", with_attribute(&format!("{}1", "- ".repeat(64))), Works),
        ("limit_conditions", with_attribute(&format!("{}1", "true ? 1 : ".repeat(64))), Works),
        ("limit_selects", with_attribute(&format!("user.name{}", ".a".repeat(63))), Works),
        ("limit_indexes", with_attribute(&format!("user.emails{}", "[0]".repeat(63))), Works),
        ("growing_text", doubling(), Works),
        ("long_chain_of_roles", roles(50_000, false), Works),
        ("long_circle_of_roles", roles(50_000, true), Refused("P0014")),
        (
            "many_faulty_rules",
            format!(
                "bundle: 1\nversion: a\nrules:\n{}",
                "  - { id: x, when: '((', roles: [y] }\n".repeat(20_000)
            ),
            Refused("P00"),
        ),
    ]
}

fn run(name: &str) {
    let (_, text, expect) = cases().into_iter().find(|(known, ..)| *known == name).unwrap();
    match (Bundle::load(&[("policy.yaml", &text)]), expect) {
        (Ok(bundle), Works) => {
            let john = person("1", &[("title", "clerk"), ("givenName", "John")]);
            let evaluation = evaluate(&bundle, &john, &mut Names::default());
            if name == "growing_text" {
                let refusals = &account(&evaluation, "directory").refusals;
                assert!(refusals[0].detail.contains("too long"), "{refusals:?}");
            }
        }
        (Err(problems), Refused(code)) => {
            assert!(problems.iter().any(|problem| problem.code.starts_with(code)), "{}", problems[0]);
            assert!(problems.len() <= 201);
            let shown: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
            assert!(shown < 500_000, "{shown} bytes of diagnostics");
        }
        (Ok(_), Refused(code)) => panic!("{name} loads, expected {code}"),
        (Err(problems), Works) => panic!("{name} must load: {}", problems[0]),
    }
    println!("came through: {name}");
}

/// The child's side.
#[test]
fn child() {
    // Run by the harness itself it is nobody's child and has nothing to do.
    if let Ok(name) = std::env::var(CASE) {
        run(&name);
    }
}

#[test]
fn nothing_hostile_gets_through() {
    let program = std::env::current_exe().unwrap();
    for (name, ..) in cases() {
        let output = Command::new(&program)
            .args(["--exact", "child", "--nocapture"])
            .env(CASE, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains(&format!("came through: {name}")),
            "{name}: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
