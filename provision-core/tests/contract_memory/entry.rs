//! The suite's entry for authors: what it prints, when it panics, how it replays.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::memory::Personality;
use provision_core::testkit::contract::{Finding, Leftover, Profile, Report, Suite, Trial};
use provision_core::{ErrorKind, Result};

use crate::shape::Shape;

/// A connector whose listing of everything does what `bad` says.
#[derive(Debug)]
struct Bad {
    shape: Shape,
    bad: Badness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Badness {
    /// `get` never ends.
    Hangs,
    /// `get` panics.
    Panics,
    /// `get` answers another error.
    Fails,
}

#[async_trait]
impl Connector for Bad {
    fn info(&self) -> ConnectorInfo {
        self.shape.target.info()
    }
    async fn check(&self, cx: &Context) -> Result<()> {
        self.shape.target.check(cx).await
    }
    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        self.shape.target.discover(cx).await
    }
    async fn get(&self, _cx: &Context, _request: GetRequest) -> Result<Option<Object>> {
        match self.bad {
            Badness::Hangs => std::future::pending().await,
            Badness::Panics => panic!("a bug <of> the connector"),
            Badness::Fails => {
                Err(provision_core::Error::new(ErrorKind::Unexpected, "\u{0} & \"odd\" <text>"))
            }
        }
    }
    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.shape.target.list(cx, request)
    }
    fn writer(&self) -> Option<&dyn Writer> {
        self.shape.target.writer()
    }
}

fn bad(bad: Badness) -> Bad {
    Bad { shape: Shape::personality(Personality::Plain), bad }
}

fn seen(report: &Report) -> &str {
    match &report.trials[0].verdict {
        Err(Finding::Broken(seen)) => seen,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connector_that_hangs_or_panics_breaks_its_clause_and_the_suite_ends() {
    for (badness, told) in [(Badness::Hangs, "no end within"), (Badness::Panics, "a bug <of> the connector")]
    {
        let bad = bad(badness);
        let suite = Suite::new(&bad, &bad.shape).only("C-3.1").limit(Duration::from_millis(200));
        let report = suite.run().await;
        assert_eq!(report.broken(), ["C-3.1"]);
        assert!(seen(&report).contains(told), "{report}");
    }
}

#[tokio::test]
async fn a_broken_clause_says_what_was_expected_and_seen_and_how_to_try_it_again() {
    let bad = bad(Badness::Fails);
    let report = Suite::new(&bad, &bad.shape).seed(77).only("C-3.1").run().await;
    let text = report.to_string();
    for told in [
        "contract of `memory`, seed 77: 0 kept, 0 not applicable, 1 broken",
        "BROKEN: C-3.1",
        "  expected: `get` answers `None` if and only if the target said that there is no such object",
        "  seen: get of `no such object`: Unexpected",
        "PROVISION_CONTRACT_SEED=77 PROVISION_CONTRACT_ONLY=C-3.1, or .seed(77).only(\"C-3.1\")",
    ] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
}

/// What of a report does not depend on time.
fn drawn(report: Report) -> Vec<(&'static str, provision_core::testkit::contract::Verdict)> {
    report.trials.into_iter().map(|trial| (trial.clause, trial.verdict)).collect()
}

/// Everything that the suite asked of a target, in order.
#[tokio::test]
async fn the_same_seed_tries_the_same_and_another_tries_another() {
    let log = |seed: Option<u64>, only: &'static [&'static str]| async move {
        let shape = Shape::personality(Personality::Directory);
        let mut suite = shape.suite();
        for clause in only {
            suite = suite.only(clause);
        }
        let suite = match seed {
            Some(seed) => suite.seed(seed),
            None => suite,
        };
        let report = suite.run().await;
        assert_eq!(report.broken(), Vec::<&str>::new(), "\n{report}");
        // The feed remembers every object that was made, by name.
        let token = Some(b"memory:0".to_vec());
        let request = ChangeFeedRequest { class: "user".into(), token, limit: 10_000 };
        let cx = provision_core::memory::MemoryConnector::context();
        let page = shape.target.change_feed().unwrap().changes(&cx, request).await.unwrap();
        let names = page.events.into_iter().filter_map(|event| event.key.name).collect::<Vec<_>>();
        (report.seed, names, drawn(report))
    };
    let clauses = &["C-4.5", "C-5.2", "C-8.1"];
    let (seed, first, trials) = log(Some(5), clauses).await;
    assert_eq!((seed, first.is_empty()), (5, false));
    assert_eq!(log(Some(5), clauses).await, (5, first.clone(), trials));
    assert_ne!(log(Some(6), clauses).await.1, first);
    let (random, names, _) = log(None, clauses).await;
    assert_eq!(log(Some(random), clauses).await.1, names, "the seed that was drawn replays");
    // A clause draws the same, alone or with others.
    let alone = log(Some(5), &["C-8.1"]).await.1;
    assert!(first.ends_with(&alone), "{alone:?} is not the end of {first:?}");
}

#[tokio::test]
async fn the_entry_gives_the_report_when_all_is_kept() {
    let shape = Shape::personality(Personality::Plain);
    let report = shape.suite().only("C-2.1").only("C-3.1").at_least(40).assert_kept().await;
    assert_eq!(report.kept(), ["C-2.1", "C-3.1"], "only some are asked for: the least number does not count");
}

async fn panic_of(suite: Suite<'_>) -> String {
    let tried = std::panic::AssertUnwindSafe(suite.assert_kept());
    let panic = futures_util::FutureExt::catch_unwind(tried).await.unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn the_entry_panics_with_the_report() {
    let broken = bad(Badness::Fails);
    let told = panic_of(Suite::new(&broken, &broken.shape).only("C-3.1")).await;
    assert!(told.starts_with("the contract is broken") && told.contains("BROKEN: C-3.1"), "{told}");
    let told = panic_of(Suite::new(&broken, &broken.shape).only("C-0.1")).await;
    assert_eq!(told, "the contract has no clause `C-0.1`");
}

/// A connector that declares nothing breaks little, and is not let through.
#[tokio::test]
async fn whoever_declares_nothing_does_not_pass() {
    #[derive(Debug)]
    struct Nothing(Shape);
    #[async_trait]
    impl Connector for Nothing {
        fn info(&self) -> ConnectorInfo {
            self.0.target.info()
        }
        async fn check(&self, cx: &Context) -> Result<()> {
            self.0.target.check(cx).await
        }
        async fn discover(&self, cx: &Context) -> Result<Discovery> {
            let schema = self.0.target.discover(cx).await?.schema;
            Ok(Discovery { schema, capabilities: Capabilities::default() })
        }
        async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
            self.0.target.get(cx, request).await
        }
        fn list(&self, cx: &Context, mut request: ListRequest) -> Result<Listing> {
            if let Some(filter) = request.filter.take() {
                let why = format!("no filter is evaluated: {filter:?}");
                return Err(provision_core::Error::new(ErrorKind::Unsupported, why));
            }
            self.0.target.list(cx, request)
        }
    }
    let nothing = Nothing(Shape::personality(Personality::Plain));
    let report = Suite::new(&nothing, &nothing.0).run().await;
    assert_eq!(report.broken(), Vec::<&str>::new(), "{report}");
    assert!(report.kept().len() < 12, "{report}");
    let told = panic_of(Suite::new(&nothing, &nothing.0).at_least(30)).await;
    assert!(told.contains("clauses were tried and kept, 30 are asked for"), "{told}");
    assert!(told.contains("not applicable: C-4.6, the target creates nothing"), "{told}");
}

/// A foreign reader reads the XML.
#[tokio::test]
async fn junit_is_xml_that_others_read() {
    let broken = bad(Badness::Fails);
    let suite = Suite::new(&broken, &broken.shape).named("odd \"name\" & <so>").seed(9);
    let mut report = suite.only("C-3.1").only("C-7.1").only("C-2.1").run().await;
    let why = "tab\tand\nline & <more> \u{1}".to_owned();
    report.left.push(Leftover { class: "account".into(), id: Some("a\"b".to_owned()), why });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.xml");
    std::fs::write(&file, report.junit()).unwrap();
    let script = r#"
import sys, xml.etree.ElementTree as tree
suites = tree.parse(sys.argv[1]).getroot()
suite = suites[0]
assert suites.tag == "testsuites" and suite.get("name") == 'contract of odd "name" & <so>', suite.attrib
count = [suite.get(name) for name in ("tests", "failures", "skipped", "errors")]
assert count == ["3", "1", "1", "0"], count
assert suite.find("properties/property[@name='seed']").get("value") == "9"
cases = {case.get("name").split(":")[0]: case for case in suite.findall("testcase")}
assert len(cases["C-2.1"]) == 0 and cases["C-7.1"][0].tag == "skipped"
failure = cases["C-3.1"][0]
assert failure.tag == "failure" and '\ufffd & "odd" <text>' in failure.get("message"), failure.attrib
assert "PROVISION_CONTRACT_SEED=9 PROVISION_CONTRACT_ONLY=C-3.1" in failure.text
assert 'account `a"b`: tab\tand\nline & <more> \ufffd' == suite.find("system-out").text
"#;
    let read = Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
    assert!(read.status.success(), "{}\n{}", String::from_utf8_lossy(&read.stderr), report.junit());
}

/// The environment is read by the entry alone; in a process of its own, as it is everybody's.
#[test]
fn the_environment_replays_and_asks_for_junit() {
    let folder = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let run = |seed: &str| {
        let mut command = Command::new(&this);
        command.args(["--exact", "entry::replayed_by_the_environment", "--nocapture"]);
        command.env("PROVISION_CONTRACT_SEED", seed).env("PROVISION_CONTRACT_ONLY", "C-4.1, C-7.1");
        command.env("PROVISION_CONTRACT_JUNIT", folder.path());
        command.output().unwrap()
    };
    let output = run("123");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("contract of `by hand`, seed 123: 1 kept, 1 not applicable, 0 broken"), "{told}");
    assert!(told.contains("not applicable: C-7.1, the target has no groups"), "{told}");
    let xml = std::fs::read_to_string(folder.path().join("contract-by-hand.xml")).unwrap();
    assert!(xml.contains("name=\"seed\" value=\"123\""), "{xml}");
    assert!(!run("not a number").status.success());
}

/// Alone it tries all; the test above gives it an environment.
#[tokio::test]
async fn replayed_by_the_environment() {
    let shape = Arc::new(Shape::personality(Personality::Plain));
    let report = shape.suite().named("by hand").at_least(35).assert_kept().await;
    let all: Vec<&Trial> = report.trials.iter().collect();
    assert!(!all.is_empty() && shape.class() == "account".into());
}
