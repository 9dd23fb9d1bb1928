//! Hostile input, each in a child process: an abort (a stack overflow, memory) is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]
#![allow(clippy::disallowed_methods, reason = "it times what it tries")]

mod support;

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use provision_policy::Bundle;
use support::{Names, evaluate, person};

const CASE: &str = "HOSTILE_CASE";

/// What a case must come to.
enum Expect {
    /// Refused with this code.
    Refused(&'static str),
    /// Loads, and evaluates.
    Works,
    /// Loads; evaluation refuses the account, once.
    Fails,
}
use Expect::{Fails, Refused, Works};

/// A case: its name, the text, what must come of it.
type Case = (&'static str, String, Expect);

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

/// Shared values, each twice as long as the one before.
fn doubling_lists() -> String {
    let mut text =
        "bundle: 1\nversion: a\nvalues:\n  v0: user.emails.map(e, pad_left(e, 900, \"x\"))\n".to_owned();
    for number in 1..16 {
        writeln!(text, "  v{number}: value.v{0} + value.v{0}", number - 1).unwrap();
    }
    text + with_attribute("value.v15").strip_prefix("bundle: 1\nversion: a\n").unwrap()
}

/// As many expressions as a file holds, each as large as may be.
fn as_much_as_there_may_be() -> String {
    let largest = format!("{}{}", vec!["user.title"; 32].join("+"), " ".repeat(3_700));
    let mut text = with_attribute("user.title");
    for number in 0..1_000 {
        writeln!(text, "        a{number}: |\n          {largest}").unwrap();
    }
    text
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

fn matching(pattern: &str) -> String {
    with_attribute(&format!("pad_left(user.title, 4000, \"a\").matches(\"{pattern}\")"))
}

/// Each match of the text becomes the whole text once more.
fn growing_replacement() -> String {
    format!("replace_matches(pad_left(user.title, 90, \"a\"), \"a\", \"{}\")", "a".repeat(3_900))
}

fn cases() -> Vec<Case> {
    files().into_iter().chain(sizes()).chain(contents()).collect()
}

/// What is hostile before any expression is read.
fn files() -> Vec<Case> {
    vec![
        ("flow_nesting", format!("bundle: {}", "[".repeat(1_000_000)), Refused("P000")),
        ("map_nesting", format!("bundle: {}", "{a: ".repeat(500_000)), Refused("P000")),
        ("block_nesting", "- ".repeat(200_000), Refused("P000")),
        ("ten_megabytes", format!("bundle: 1\nversion: {}\n", "a".repeat(10_000_000)), Refused("P0002")),
        ("many_nodes", format!("bundle: 1\ninputs: [{}]\n", "a, ".repeat(900_000)), Refused("P0002")),
        ("alias_bomb", aliases(), Refused("P0002")),
        ("nul_bytes", "bundle: 1\0\0\0\nversion: \0".to_owned(), Refused("P000")),
        ("long_line_of_keys", format!("bundle: 1\n{}", "x".repeat(3_000_000)), Refused("P000")),
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

/// Expressions larger than they may be, and exactly as large.
fn sizes() -> Vec<Case> {
    let nested = |open: &str, close: &str, depth: usize| {
        with_attribute(&format!("{}user.title{}", open.repeat(depth), close.repeat(depth)))
    };
    vec![
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
        ("limit_indexes", with_attribute(&format!("user.emails{}", "[0]".repeat(63))), Fails),
    ]
}

/// Expressions that are small and mean much.
fn contents() -> Vec<Case> {
    vec![
        ("growing_text", doubling(), Fails),
        ("growing_list", doubling_lists(), Fails),
        ("largest_file", as_much_as_there_may_be(), Works),
        ("long_name", with_attribute(&format!("user.{}", "a".repeat(4_000))), Refused("P0016")),
        ("long_variable", with_attribute(&"a".repeat(4_090)), Refused("P0022")),
        ("too_long", with_attribute(&format!("\"{}\"", "a".repeat(4_096))), Refused("P0020")),
        ("wide_characters", with_attribute(&format!("\"{}\"", "👩‍👩‍👧".repeat(240))), Refused("P0020")),
        ("long_text", with_attribute(&format!("size(\"{}\")", "a".repeat(4_080))), Works),
        ("large_number", with_attribute(&"9".repeat(4_000)), Refused("P0021")),
        ("division_by_zero", with_attribute("1 / (size(user.title) - 5)"), Fails),
        ("smallest_number", with_attribute("-9223372036854775808 / -1 + -(-9223372036854775808)"), Fails),
        ("maps", with_attribute(&format!("{}1{}", "{1:".repeat(32), "}".repeat(32))), Refused("P0025")),
        (
            "loops_in_loops",
            with_attribute("user.emails.all(a, user.emails.all(b, a != b))"),
            Refused("P0025"),
        ),
        (
            "dear_loop",
            with_attribute("user.emails.all(a, a in user.photos || a in user.ims)"),
            Refused("P0028"),
        ),
        ("dearest_loop", with_attribute("user.emails.all(a, !(a in user.photos))"), Works),
        ("pattern_repeated", matching("((((a{99}){99}){99}){99})"), Refused("P0029")),
        ("pattern_nested", matching(&format!("{}a{}", "(".repeat(900), ")".repeat(900))), Refused("P0029")),
        ("pattern_classes", matching(&"\\\\p{L}".repeat(400)), Refused("P0029")),
        ("pattern_goes_back", matching("(a*)*(a*)*(a*)*b"), Works),
        ("pattern_looks_around", matching("(?=a)a"), Refused("P0029")),
        ("replacement_grows", with_attribute(&growing_replacement()), Fails),
        ("padding", with_attribute("pad_left(user.title, 9223372036854775807, \"x\")"), Fails),
        ("date_of_any_width", with_attribute("format_date(today, \"%9999999999d\")"), Refused("P0029")),
        ("date_beyond", with_attribute("plus_months(today, 9223372036854775807)"), Fails),
        ("instant_beyond", with_attribute("plus_seconds(start_of(today), 9223372036854775807)"), Fails),
        ("days_beyond", with_attribute("plus_days(today, -9223372036854775807)"), Fails),
        ("lists_of_lists", with_attribute("user.emails.map(e, user.photos)"), Fails),
        ("loop_that_grows", with_attribute("user.emails.map(e, pad_left(e, 60000, \"x\"))"), Fails),
    ]
}

fn run(name: &str) {
    let (_, text, expect) = cases().into_iter().find(|(known, ..)| *known == name).unwrap();
    match (Bundle::load(&[("policy.yaml", &text)]), &expect) {
        (Ok(bundle), Works | Fails) => {
            let mut john = person("1", &[("title", "clerk"), ("givenName", "John")]);
            for name in ["emails", "photos"] {
                john.attributes.set(name, (0..1000).map(|number| format!("{number}@x").into()).collect());
            }
            let begun = Instant::now();
            let evaluation = evaluate(&bundle, &john, &mut Names::default());
            let refusals: Vec<_> = evaluation.accounts.iter().flat_map(|account| &account.refusals).collect();
            assert_eq!(refusals.len(), usize::from(matches!(expect, Fails)), "{name}: {refusals:?}");
            assert!(name != "growing_text" || refusals[0].detail.contains("too long"), "{refusals:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "evaluation took {:?}", begun.elapsed());
        }
        (Err(problems), Refused(code)) => {
            assert!(problems.iter().any(|problem| problem.code.starts_with(code)), "{}", problems[0]);
            assert!(problems.len() <= 201);
            let shown: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
            assert!(shown < 500_000, "{shown} bytes of diagnostics");
        }
        (Ok(_), Refused(code)) => panic!("{name} loads, expected {code}"),
        (Err(problems), Works | Fails) => panic!("{name} must load: {}", problems[0]),
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
    let mut failed = String::new();
    for (name, ..) in cases() {
        let output = Command::new(&program)
            .args(["--exact", "child", "--nocapture"])
            .env(CASE, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !text.contains(&format!("came through: {name}")) {
            let error = String::from_utf8_lossy(&output.stderr);
            let error: String = error.chars().take(2_000).collect();
            writeln!(failed, "{name}: {}\n{error}", output.status).unwrap();
        }
    }
    assert_eq!(failed, "");
}
