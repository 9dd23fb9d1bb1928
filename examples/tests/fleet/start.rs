//! Nodes start, at the same time too, and end when they are asked to.

use std::time::Duration;

use provision_core::testkit::peer::{Postgres, shared_postgres};

use crate::cluster::{Cluster, Setup, eventually};
use crate::process::Process;

const NODES: usize = 10;
const PEOPLE: usize = 40;

fn server() -> &'static Postgres {
    shared_postgres().unwrap()
}

fn changed(cluster: &Cluster) -> usize {
    cluster.target("select count(*) from history").parse().unwrap()
}

/// Something was written, and more is to be.
fn under_way(cluster: &Cluster) {
    eventually(|| if changed(cluster) > 0 { Ok(()) } else { Err("nothing is written".to_owned()) });
}

#[test]
fn ten_nodes_that_start_at_once_make_one_store_and_one_configuration() {
    let cluster = Cluster::new(server(), Setup::default());
    let at = server().address();
    let nodes: Vec<Process> = (0..NODES).map(|number| cluster.node(at, &format!("n{number}"), &[])).collect();
    eventually(|| {
        let running = cluster.target("select 1").len();
        let asked = "select count(*) from pg_tables where tablename = 'node' and schemaname = 'provision'";
        let made = cluster.store(server(), asked) == "1";
        let rows =
            if made { cluster.store(server(), "select count(*) from provision.node") } else { String::new() };
        if running == 1 && rows == NODES.to_string() { Ok(()) } else { Err(format!("{rows} nodes")) }
    });
    let status = cluster.expect(at, 0, &["status"]);
    assert!(status.contains("10 nodes at ") && status.contains("  n7 running, process "), "{status}");
    let status: serde_json::Value =
        serde_json::from_str(&cluster.expect(at, 0, &["status", "--json"])).unwrap();
    assert_eq!(status["overview"]["nodes"].as_array().unwrap().len(), NODES, "{status:#}");
    assert_eq!(status["realm"], "corp");
    let count = |event: &str| {
        cluster.store(
            server(),
            &format!("select count(*) from provision.audit where body::jsonb->>'event' = '{event}'"),
        )
    };
    assert_eq!(count("source.configured"), "1");
    assert_eq!(count("target.configured"), "1");
    assert_eq!(count("policy.set"), "1", "one of them is first, the others find it done");
    for node in &nodes {
        node.terminate();
    }
    for node in nodes {
        let ended = node.end();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    assert_eq!(cluster.store(server(), "select count(*) from provision.node"), "0");
    // All of them again, on a store that is as they want it: nobody is marked for nothing.
    let marked = cluster.store(server(), "select count(*) from provision.audit");
    let nodes: Vec<Process> = (0..NODES).map(|number| cluster.node(at, &format!("n{number}"), &[])).collect();
    eventually(|| {
        let rows = cluster.store(server(), "select count(*) from provision.node");
        if rows == NODES.to_string() { Ok(()) } else { Err(format!("{rows} nodes")) }
    });
    assert_eq!(cluster.store(server(), "select count(*) from provision.audit"), marked);
    nodes.iter().for_each(Process::terminate);
    nodes.into_iter().for_each(|node| assert_eq!(node.end().code, Some(0)));
}

/// A cluster with people who have no account yet.
fn waiting(people: usize, setup: Setup) -> Cluster {
    let cluster = Cluster::new(server(), setup);
    cluster.feed(0, (0..people).map(|number| (1_000 + number, "Pilot")));
    cluster.expect(server().address(), 0, &["ingest"]);
    cluster.expect(server().address(), 0, &["onboard"]);
    cluster
}

#[test]
fn node_that_is_asked_to_end_finishes_what_it_has_and_leaves_the_rest_to_others_at_once() {
    let cluster = waiting(PEOPLE, Setup { latency: Duration::from_millis(400), ..Setup::default() });
    let at = server().address();
    let mut node = cluster.node(at, "first", &[]);
    under_way(&cluster);
    node.terminate();
    assert!(node.says_like(|line| line.starts_with("stopping: nothing more is claimed")));
    let ended = node.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.said.iter().any(|line| line.starts_with("stopped: what this process had")), "{ended:#?}");
    let open = "select count(*) from provision.journal where open like 'intent/%'";
    assert_eq!(cluster.store(server(), open), "0", "nobody has to find out how a call ended");
    assert_eq!(cluster.store(server(), "select count(*) from provision.node"), "0");
    let before = changed(&cluster);
    // An hour's lease: if anything were still held, this would not end.
    let mut second = cluster.node(at, "second", &["--lease", "3600"]);
    assert!(second.is_running());
    cluster.settled(server(), 1);
    assert!(changed(&cluster) >= before);
    assert_eq!(cluster.target("select count(*) from account"), PEOPLE.to_string());
    second.terminate();
    assert_eq!(second.end().code, Some(0));
}

#[test]
fn second_signal_ends_a_node_at_once_and_others_find_out_what_it_had() {
    let slow =
        Setup { latency: Duration::from_secs(6), timeout: Duration::from_secs(20), ..Setup::default() };
    let cluster = waiting(2, slow);
    let at = server().address();
    let mut node = cluster.node(at, "first", &["--drain", "60", "--lease", "30"]);
    let open = "select count(*) from provision.journal where open like 'intent/%'";
    eventually(|| match cluster.store(server(), open).as_str() {
        "0" => Err("nothing is under way".to_owned()),
        _ => Ok(()),
    });
    node.terminate();
    assert!(node.says_like(|line| line.starts_with("stopping: nothing more is claimed")));
    node.terminate();
    let ended = node.end();
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert_ne!(cluster.store(server(), open), "0", "it did not wait");
}

#[test]
fn name_that_another_process_has_is_refused() {
    let cluster = Cluster::new(server(), Setup::default());
    let at = server().address();
    let first = cluster.node(at, "one", &[]);
    eventually(|| {
        let asked = "select count(*) from pg_tables where tablename = 'node' and schemaname = 'provision'";
        let made = cluster.store(server(), asked) == "1";
        let there = made && cluster.store(server(), "select count(*) from provision.node") == "1";
        if there { Ok(()) } else { Err("not there".to_owned()) }
    });
    let second = cluster.node(at, "one", &[]).end();
    assert_eq!(second.code, Some(1), "{second:#?}");
    assert!(second.said.iter().any(|line| line.contains("a name of its own")), "{second:#?}");
    first.terminate();
    assert_eq!(first.end().code, Some(0));
    let wrong = cluster.node(at, "no spaces", &[]).end();
    assert_eq!(wrong.code, Some(5), "{wrong:#?}");
}
