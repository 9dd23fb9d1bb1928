//! The database fails, and a replica takes over that has not heard of the last changes: the target knows more than the
//! store does. Nothing is written there until it was looked at whole; then everything comes right, and nobody gets a
//! second account.

use std::time::Duration;

use provision_core::testkit::peer::{Postgres, PostgresSetup};

use crate::cluster::{Cluster, Setup, eventually};
use crate::process::Process;

const PEOPLE: usize = 240;

fn accounts(cluster: &Cluster) -> usize {
    cluster.target("select count(*) from account").parse().unwrap()
}

#[test]
fn replica_that_lost_the_last_changes_takes_over_and_nobody_gets_a_second_account() {
    let server = Postgres::start(PostgresSetup::default()).unwrap();
    let cluster = Cluster::new(&server, Setup { latency: Duration::from_millis(100), ..Setup::default() });
    let people = || (0..PEOPLE).map(|number| (1_000 + number, "Pilot"));
    cluster.feed(0, people());
    cluster.expect(server.address(), 0, &["ingest"]);
    cluster.expect(server.address(), 0, &["onboard"]);
    let replica = server.replica().unwrap();
    let at = server.address();
    let nodes: Vec<Process> = (0..2).map(|number| cluster.node(at, &format!("n{number}"), &[])).collect();
    let made = |count: usize| {
        eventually(|| match accounts(&cluster) {
            found if found >= count => Ok(()),
            found => Err(format!("{found} accounts")),
        });
    };
    made(5);
    // From here on the replica hears nothing.
    replica.sql("postgres", "alter system set primary_conninfo = ''").unwrap();
    replica.sql("postgres", "select pg_reload_conf()").unwrap();
    let heard = accounts(&cluster);
    made((heard + 15).min(PEOPLE));
    server.crash();
    for mut node in nodes {
        node.kill();
    }
    replica.promote().unwrap();
    let lost = accounts(&cluster);
    assert!(lost < PEOPLE, "everything was done before");
    let known: usize = cluster
        .store(
            &replica,
            "select count(*) from provision.link where body::jsonb->'key' is not null \
                          and body::jsonb->>'key' is not null",
        )
        .parse()
        .unwrap();
    assert!(known < lost, "the replica knows of {known} accounts, {lost} are there");

    let at = replica.address();
    let writes = cluster.target("select count(*) from history");
    let status = cluster.expect(at, 0, &["status"]);
    assert!(status.contains("the store was restored"), "{status}");
    let mut nodes: Vec<Process> = (2..4).map(|number| cluster.node(at, &format!("n{number}"), &[])).collect();
    // They look, and plan nothing for the target: what is due is parked.
    eventually(|| match cluster.store(&replica, "select count(*) from provision.node").as_str() {
        "0" | "1" => Err("not there yet".to_owned()),
        _ => Ok(()),
    });
    cluster.expect(at, 0, &["plan", "--all"]);
    assert_eq!(cluster.target("select count(*) from history"), writes, "written before anybody has looked");
    let report = cluster.expect(at, 0, &["onboard"]);
    println!("{report}");
    eventually(|| match accounts(&cluster) {
        PEOPLE => Ok(()),
        found => Err(format!("{found} accounts")),
    });
    cluster.settled(&replica, 1);
    for node in &mut nodes {
        assert!(node.is_running());
        node.terminate();
    }
    nodes.into_iter().for_each(|node| assert_eq!(node.end().code, Some(0)));
    let twice = "select number from history where what = 'insert' group by number having count(*) > 1";
    assert_eq!(cluster.target(twice), "", "somebody was created twice");
    let edges = cluster.target("select count(*) from member");
    assert_eq!(edges, (2 * PEOPLE).to_string(), "who is not in both teams");
    assert_eq!(cluster.target("select count(distinct login) from account"), PEOPLE.to_string());
    assert_eq!(cluster.store(&replica, "select key from provision.dispute where state = 'open'"), "");
}
