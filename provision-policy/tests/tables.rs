//! Tables: roles and values by row.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::diagnostic::Diagnostic;
use provision_core::model::{Identity, Status};
use provision_core::policy::{Evaluation, Policy, RefusalReason};
use provision_policy::Bundle;
use support::{Names, account, evaluate, person, value};

const INLINE: &str = r#"bundle: 1
version: a
inputs: [position, positions]
tables:
  positions:
    key: code
    columns: { title: text, roles: list, grade: number, until: date, boss: truth, floor: text }
    rows:
      - { code: ENG-7, title: Engineer, roles: engineer|builder, grade: 7, until: 2027-03-31, boss: false, floor: 3rd }
      - { code: ENG-9, title: Chief, roles: [engineer, chief], grade: 9, boss: true }
      - { code: CLK-1, title: Clerk, floor: 1st }
roles:
  engineer: { grants: [{ account: directory/user }, { group: Engineers, on: directory/user }] }
  builder: { grants: [{ account: builds/user }] }
  chief: { includes: [engineer], grants: [{ account: finance/user }] }
rules:
  - id: by-position
    when: 'lifecycle != "terminated"'
    roles: { table: positions, key: user.position, column: roles }
targets:
  directory:
    user:
      attributes:
        title: lookup("positions", user.position, "title")
        grade: string(lookup("positions", user.position, "grade") + 1)
        until: lookup("positions", user.position, "until")
        boss: lookup("positions", user.position, "boss")
        floor: lookup("positions", user.position, "floor")
        duties: lookup("positions", user.position, "roles")
  builds: { user: { attributes: { id: key } } }
  finance: { user: { attributes: { id: key, roles: 'join_nonempty(",", roles)' } } }
"#;

const ROWS: &str = "code,floor,title,roles,grade,until,boss\r\n\
                    CLK-1,1st,Clerk,,,,\r\n\
                    ENG-9,,Chief,\"engineer | chief\",9,,true\r\n\
                    \"ENG-7\",3rd,Engineer,engineer|builder,7,2027-03-31,false\r\n";

/// The same with the rows in a file.
fn with_file() -> String {
    let (before, after) = (INLINE.find("    rows:").unwrap(), INLINE.find("roles:\n  engineer").unwrap());
    format!("{}    file: positions.csv\n{}", &INLINE[..before], &INLINE[after..])
}

fn load(files: &[(&str, &str)]) -> Bundle {
    let bundle = Bundle::load(files).unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(bundle.warnings(), []);
    bundle
}

fn at(bundle: &Bundle, position: &str) -> Evaluation {
    evaluate(bundle, &person("1", &[("position", position)]), &mut Names::default())
}

fn roles(evaluation: &Evaluation) -> Vec<(&str, Vec<&str>)> {
    let decisions = evaluation.roles.iter();
    decisions.map(|d| (d.role.as_str(), d.because.iter().map(|by| by.as_str()).collect())).collect()
}

fn exists(evaluation: &Evaluation) -> [bool; 3] {
    ["directory", "builds", "finance"].map(|target| account(evaluation, target).exists)
}

#[test]
fn a_row_gives_roles_and_values_and_the_reasons_name_it() {
    let bundle = load(&[("policy.yaml", INLINE)]);
    let engineer = at(&bundle, "ENG-7");
    assert_eq!(
        roles(&engineer),
        [
            ("builder", vec!["rules.by-position[positions:ENG-7]"]),
            ("engineer", vec!["rules.by-position[positions:ENG-7]"])
        ]
    );
    assert_eq!(exists(&engineer), [true, true, false]);
    let directory = account(&engineer, "directory");
    let shown = ["title", "grade", "until", "boss", "floor", "duties"].map(|name| value(directory, name));
    assert_eq!(shown, ["Engineer", "8", "2027-03-31", "false", "3rd", "engineer | builder"]);
    let span = bundle.source_of(&"rules.by-position[positions:ENG-7]".into()).unwrap();
    assert_eq!((span.line, span.column), (9, 17));
    let chief = at(&bundle, "ENG-9");
    let reasons = roles(&chief);
    assert_eq!(reasons[1], ("engineer", vec!["roles.chief", "rules.by-position[positions:ENG-9]"]));
    assert_eq!(value(account(&chief, "directory"), "floor"), "(clear)", "an empty cell is null");
    assert_eq!(roles(&at(&bundle, "CLK-1")), [], "a row without roles");
}

#[test]
fn a_table_in_a_file_is_the_same_bundle() {
    let text = with_file();
    let files = [("policy.yaml", text.as_str()), ("folder/positions.csv", ROWS)];
    let (inline, filed) = (load(&[("policy.yaml", INLINE)]), load(&files));
    assert_eq!(inline.version(), filed.version(), "only the content counts");
    for position in ["ENG-7", "ENG-9", "CLK-1", "none", ""] {
        let same = |bundle| serde_json::to_string(&at(bundle, position)).unwrap();
        assert_eq!(same(&inline), same(&filed), "{position}");
    }
    let span = filed.source_of(&"rules.by-position[positions:ENG-7]".into()).unwrap();
    assert_eq!((span.file.as_str(), span.line, span.column), ("folder/positions.csv", 4, 1));
    let hash = |rows: &str| load(&[("policy.yaml", &text), ("positions.csv", rows)]).version().hash;
    assert_eq!(hash(ROWS), hash(&ROWS.replace("\r\n", "\n")));
    for (from, to) in
        [("7,2027", "8,2027"), ("3rd", ""), ("engineer|builder", "builder|engineer"), ("CLK-1", "CLK-2")]
    {
        assert_ne!(hash(ROWS), hash(&ROWS.replace(from, to)), "{from}");
    }
    assert_ne!(
        inline.version(),
        load(&[("policy.yaml", &INLINE.replace("key: code\n", "key: code\n    case: ignore\n"))]).version()
    );
}

#[test]
fn a_key_without_row_takes_nothing_away() {
    let bundle = load(&[("policy.yaml", INLINE)]);
    let stranger = at(&bundle, "ENG-8");
    assert_eq!(roles(&stranger), []);
    for target in ["directory", "builds", "finance"] {
        let refusals = &account(&stranger, target).refusals;
        let found =
            refusals.iter().find(|refusal| refusal.mapping == Some("rules.by-position".into())).unwrap();
        assert_eq!(found.reason, RefusalReason::MissingInput);
        assert!(found.detail.contains("`ENG-8`"), "{}", found.detail);
    }
    let nobody = evaluate(&bundle, &person("1", &[]), &mut Names::default());
    assert!(nobody.accounts.iter().all(|account| account.refusals.is_empty() && !account.exists));
    let lax = INLINE.replace("column: roles }", "column: roles, missing: none }");
    let lax = at(&load(&[("policy.yaml", &lax)]), "ENG-8");
    assert!(lax.accounts.iter().all(|account| account.refusals.is_empty() && !account.exists));
}

#[test]
fn a_rule_that_failed_keeps_nobody_signed_in_and_no_account_that_a_condition_ends() {
    let text = INLINE.replace(
        "    user:\n      attributes:\n        title",
        "    user:\n      exists: 'user.userType != \"external\"'\n      enabled: 'lifecycle == \"active\"'\n      \
         attributes:\n        title",
    );
    let bundle = load(&[("policy.yaml", &text)]);
    let mut stranger = person("1", &[("position", "ENG-8")]);
    stranger.employment.status = Status::Suspended;
    let barred = evaluate(&bundle, &stranger, &mut Names::default());
    let barred = account(&barred, "directory");
    assert!(!barred.exists && !barred.refusals.is_empty());
    assert_eq!(barred.enabled, Some(false), "left as it is, but for that");
}

#[test]
fn what_reads_roles_waits_for_a_rule_that_failed() {
    let text = INLINE
        .replace("chief: { includes", "extra: { grants: [{ account: finance/user }] }\n  chief: { includes")
        .replace("rules:\n", "rules:\n  - { id: all, when: 'true', roles: [extra] }\n")
        .replace("[engineer, chief]", "[engineer]")
        .replace("  chief: { includes: [engineer], grants: [{ account: finance/user }] }\n", "");
    let bundle = load(&[("policy.yaml", &text)]);
    let stranger = at(&bundle, "ENG-8");
    let finance = account(&stranger, "finance");
    assert!(finance.exists && finance.refusals.len() == 1, "{:?}", finance.refusals);
    assert_eq!(finance.refusals[0].mapping, Some("rules.by-position".into()));
}

#[test]
fn a_list_of_keys_gives_the_roles_of_all_rows() {
    let text = INLINE.replace("key: user.position,", "key: user.positions,");
    let bundle = load(&[("policy.yaml", &text)]);
    let with = |keys: &[&str]| -> Identity {
        let mut jane = person("1", &[("position", "CLK-1")]);
        jane.attributes.set("positions", keys.iter().map(|key| (*key).into()).collect());
        jane
    };
    let both = evaluate(&bundle, &with(&["ENG-7", "ENG-9", ""]), &mut Names::default());
    assert_eq!(exists(&both), [true, true, true]);
    let engineer = roles(&both).into_iter().find(|(role, _)| *role == "engineer").unwrap().1;
    assert_eq!(
        engineer,
        ["roles.chief", "rules.by-position[positions:ENG-7]", "rules.by-position[positions:ENG-9]"]
    );
    let half = evaluate(&bundle, &with(&["ENG-7", "gone"]), &mut Names::default());
    assert_eq!(exists(&half), [true, true, false], "what is known is given");
    assert!(half.accounts.iter().all(|account| account.refusals.len() == 1), "and nothing is taken");
}

#[test]
fn keys_may_differ_in_case_where_that_is_declared() {
    assert!(!account(&at(&load(&[("policy.yaml", INLINE)]), "eng-7"), "builds").exists);
    let text = INLINE.replace("key: code\n", "key: code\n    case: ignore\n");
    let found = at(&load(&[("policy.yaml", &text)]), "eng-7");
    assert_eq!(exists(&found), [true, true, false]);
    assert_eq!(roles(&found)[0].1, ["rules.by-position[positions:ENG-7]"], "as the row is written");
}

#[test]
fn a_default_row_stands_for_all_that_are_missing() {
    let text = INLINE.replace(
        "    rows:\n",
        "    default: { title: Other, roles: builder, grade: 1, boss: false }\n    rows:\n",
    );
    let bundle = load(&[("policy.yaml", &text)]);
    let other = at(&bundle, "ENG-8");
    assert_eq!(roles(&other), [("builder", vec!["rules.by-position[positions]"])]);
    assert!(other.accounts.iter().all(|account| account.refusals.is_empty()));
    let nobody = evaluate(&bundle, &person("1", &[]), &mut Names::default());
    assert_eq!(roles(&nobody), [], "who has no position has no row");
}

#[test]
fn the_hash_of_a_value_covers_its_cell_and_no_other() {
    let hash = |text: &str, attribute: &str| {
        let evaluation = at(&load(&[("policy.yaml", text)]), "ENG-7");
        let values = &account(&evaluation, "directory").values;
        values.iter().find(|value| value.attribute.as_str() == attribute).unwrap().inputs.clone()
    };
    let moved = INLINE.replace("floor: 3rd", "floor: 4th");
    assert_ne!(hash(INLINE, "floor"), hash(&moved, "floor"));
    assert_eq!(hash(INLINE, "title"), hash(&moved, "title"));
    let elsewhere = INLINE.replace("floor: 1st", "floor: 2nd");
    assert_eq!(hash(INLINE, "floor"), hash(&elsewhere, "floor"));
}

/// Problems as `code file:line:column`.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let place = |problem: &Diagnostic| {
        let span = problem.span.clone().unwrap_or_default();
        format!("{} {}:{}:{}", problem.code, span.file, span.line, span.column)
    };
    Bundle::load(files).expect_err("it is faulty").iter().map(place).collect()
}

#[test]
fn what_is_wrong_with_a_table_is_said_where_it_stands() {
    let with = |from: &str, to: &str| {
        assert!(INLINE.contains(from), "{from}");
        problems(&[("p", &INLINE.replace(from, to))]).remove(0)
    };
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        ("    key: code\n", "", "P0005 p:6:5"),
        ("    key: code\n", "    key: code\n    kase: ignore\n", "P0004 p:7:5"),
        ("    key: code\n", "    key: code\n    case: lower\n", "P0006 p:7:11"),
        ("    key: code\n", "    key: code\n    separator: ab\n", "P0006 p:7:16"),
        ("    key: code\n", "    key: code\n    file: positions.csv\n", "P0005 p:6:5"),
        ("columns: { title: text,", "columns: { title: string,", "P0006 p:7:23"),
        ("columns: { title", "columns: { code: list, title", "P0065 p:7:16"),
        ("code: CLK-1, ", "", "P0064 p:11:9"),
        ("code: CLK-1", "code: ENG-7", "P0003 p:11:17"),
        ("grade: 7", "grade: seven", "P0065 p:9:73"),
        ("until: 2027-03-31", "until: 2027-02-31", "P0065 p:9:83"),
        ("boss: true", "boss: maybe", "P0065 p:10:80"),
        ("floor: 1st", "flor: 1st", "P0004 p:11:38"),
        ("engineer|builder", "engineer|bilder", "P0010 p:9:48"),
        ("[engineer, chief]", "[engineer, chef]", "P0010 p:10:45"),
        ("roles: { table: positions", "roles: { table: position", "P0060 p:19:21"),
        ("column: roles }", "column: role }", "P0061 p:19:60"),
        ("column: roles }", "column: grade }", "P0068 p:19:60"),
        ("column: roles }", "column: roles, missing: keep }", "P0006 p:19:76"),
        ("column: roles }", "column: roles, default: a }", "P0004 p:19:67"),
        ("key: user.position,", "key: user.positio,", "P0016 p:19:37"),
        (", key: user.position", "", "P0005 p:19:12"),
        (
            r#"lookup("positions", user.position, "title")"#,
            r#"lookup("positions", user.position)"#,
            "P0024 p:24:23",
        ),
        (
            r#"lookup("positions", user.position, "title")"#,
            r#"lookup("position", user.position, "title")"#,
            "P0060 p:24:23",
        ),
        (r#"user.position, "title")"#, r#"user.position, "titel")"#, "P0061 p:24:51"),
        (r#"user.position, "title")"#, r#"user.position, key)"#, "P0061 p:24:51"),
        ("tables:\n", "lookups: { positions: { map: {} } }\ntables:\n", "P0003 p:6:3"),
        ("  positions:\n", "  a[b]: { key: a, columns: {}, rows: [] }\n  positions:\n", "P0006 p:5:3"),
    ] {
        let found = with(from, to);
        if found != expected {
            wrong.push(format!("{from} > {to}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_the_file() {
    let text = with_file();
    let with = |rows: &str| problems(&[("p", &text), ("positions.csv", rows)]).remove(0);
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        ("engineer|builder", "engineer|bilder", "P0010 positions.csv:4:22"),
        (",grade,", ",grad,", "P0061 positions.csv:1:24"),
        ("code,floor,title,", "code,floor,floor,", "P0003 positions.csv:1:12"),
        ("CLK-1,", "CLK-1,,", "P0063 positions.csv:2:1"),
        ("\"ENG-7\"", "ENG-9", "P0003 positions.csv:4:1"),
        ("\"ENG-7\"", "", "P0064 positions.csv:4:1"),
        ("\"ENG-7\"", "\"ENG-7", "P0063 positions.csv:4:1"),
        ("\"ENG-7\"", "\"ENG\"-7", "P0063 positions.csv:4:1"),
        (",7,2027", ",x,2027", "P0065 positions.csv:4:39"),
    ] {
        assert!(ROWS.contains(from), "{from}");
        let found = problems(&[("p", &text), ("positions.csv", &ROWS.replace(from, to))]);
        if !found.iter().any(|found| found == expected) {
            wrong.push(format!("{from} > {to}: {found:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(with(""), "P0063 positions.csv:1:1");
    assert_eq!(problems(&[("p", &text)]), ["P0062 p:8:11"]);
    assert_eq!(problems(&[("p", &text), ("position.csv", ROWS)]), ["P0062 p:8:11"]);
    let outside = text.replace("positions.csv", "../positions.csv");
    assert_eq!(problems(&[("p", &outside), ("positions.csv", ROWS)])[0], "P0006 p:8:11");
    let semicolons = ROWS.replace(',', ";");
    assert_eq!(with(&semicolons), "P0061 positions.csv:1:1");
    let declared = text.replace("    file:", "    delimiter: ;\n    file:");
    load(&[("p", &declared), ("positions.csv", &semicolons)]);
    assert_eq!(
        problems(&[("p", &text), ("positions.csv", &"a,".repeat(3 * 1024 * 1024))])[0],
        "P0002 positions.csv:1:1"
    );
    let many: String = (0..100_002).map(|n| format!("\nP{n},,,,,,")).collect();
    assert_eq!(
        problems(&[("p", &text), ("positions.csv", &format!("{}{many}", ROWS.lines().next().unwrap()))])[0],
        "P0066 p:6:5"
    );
}

#[test]
fn a_condition_knows_which_columns_have_no_value_for_somebody() {
    let rule = |condition: &str| {
        let text =
            INLINE.replace("rules:\n", &format!("rules:\n  - {{ id: x, when: '{condition}', roles: [] }}\n"));
        Bundle::load(&[("p", &text)]).err().map(|problems| problems[0].code.clone())
    };
    assert_eq!(rule(r#"lookup("positions", user.position, "boss")"#), Some("P0027".to_owned()));
    assert_eq!(rule(r#"lookup("positions", user.position, "roles").exists(r, r == "a")"#), None);
    assert_eq!(rule(r#"lookup("positions", key, "title").startsWith("C")"#), None, "every row has one");
    assert_eq!(
        rule(r#"has(user.position) && lookup("positions", user.position, "title").startsWith("C")"#),
        None
    );
    assert_eq!(
        rule(r#"lookup("positions", user.position, "title").startsWith("C")"#),
        Some("P0027".to_owned())
    );
    assert_eq!(rule(r#"lookup("positions", key, "floor").startsWith("C")"#), Some("P0027".to_owned()));
    assert_eq!(rule(r#"lookup("positions", key, "grade") > 5"#), Some("P0027".to_owned()));
    assert_eq!(rule(r#"lookup("positions", key, "title") > 5"#), Some("P0026".to_owned()).or(None));
}

#[test]
fn a_folder_brings_the_tables_that_its_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("policy.yaml", &with_file());
    write("positions.csv", ROWS);
    write("people.csv", "not, a\ntable");
    let bundle = Bundle::load_path(folder.path()).unwrap();
    assert_eq!(bundle.warnings(), []);
    assert_eq!(bundle.version().hash, load(&[("p", INLINE)]).version().hash);
    let alone = Bundle::load_path(folder.path().join("policy.yaml")).unwrap();
    assert_eq!(alone.version(), bundle.version());
    std::fs::remove_file(folder.path().join("positions.csv")).unwrap();
    assert_eq!(Bundle::load_path(folder.path()).unwrap_err()[0].code, "P0062");
}

#[test]
fn two_hundred_positions_are_two_hundred_rows_and_one_rule() {
    let rows: String =
        (0..200).map(|n| format!("P{n:03},Position {n},team-{}|staff,floor {}\n", n % 20, n % 7)).collect();
    let csv = format!("code,title,roles,floor\n{rows}");
    let mut text = String::from(
        "bundle: 1\nversion: a\ninputs: [position]\ntables:\n  positions:\n    key: code\n    \
         columns: { title: text, roles: list, floor: text }\n    file: positions.csv\nroles:\n  \
         staff: { grants: [{ account: d/u }] }\n",
    );
    for team in 0..20 {
        text.push_str(&format!("  team-{team}: {{ grants: [{{ group: Team {team}, on: d/u }}] }}\n"));
    }
    text.push_str(
        "rules:\n  - id: by-position\n    when: 'true'\n    \
         roles: { table: positions, key: user.position, column: roles }\n\
         targets:\n  d:\n    u:\n      attributes:\n        \
         title: lookup(\"positions\", user.position, \"title\")\n        \
         floor: lookup(\"positions\", user.position, \"floor\")\n",
    );
    let bundle = load(&[("policy.yaml", &text), ("positions.csv", &csv)]);
    for n in 0..200 {
        let mut jane = person("1", &[("position", &format!("P{n:03}"))]);
        let evaluation = evaluate(&bundle, &jane, &mut Names::default());
        let found = account(&evaluation, "d");
        assert_eq!(found.groups.len(), 1);
        assert_eq!(found.groups[0].group, format!("Team {}", n % 20));
        assert_eq!(
            (value(found, "title"), value(found, "floor")),
            (format!("Position {n}"), format!("floor {}", n % 7))
        );
        jane.employment.status = Status::Terminated;
        assert!(!account(&evaluate(&bundle, &jane, &mut Names::default()), "d").exists);
    }
}
