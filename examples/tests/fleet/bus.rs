//! The bus as the program is configured for it: TLS, a login, events out and commands in.

use std::process::Command;

use provision_core::testkit::peer::{Nats, NatsSetup, Postgres, shared_postgres};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Setup, eventually};
use crate::process::Process;
use crate::stream::{self, Sender};
use crate::support::Ran;

const PASSWORD: &str = "correct horse battery";

fn server() -> &'static Postgres {
    shared_postgres().unwrap()
}

/// A bus that wants TLS and a password, and three people with accounts whose events are to go there.
fn secured() -> (Nats, Cluster) {
    let arguments = ["--user", "relay", "--pass", PASSWORD].map(str::to_owned).to_vec();
    let nats = Nats::start_with(NatsSetup { tls: true, verify: false, arguments }).unwrap();
    let cluster = Cluster::on_bus(server(), Setup::default(), nats.url());
    let authority = nats.authority().unwrap();
    let login =
        format!("user: relay\n    password: ${{env:BUS_PASSWORD}}\n    ca_file: {}", authority.display());
    cluster.configure("tls: false", &login);
    cluster.feed(0, [(1_001, "Clerk"), (1_002, "Clerk"), (1_003, "Pilot")].into_iter());
    (nats, cluster)
}

fn command(cluster: &Cluster, password: &str, arguments: &[&str]) -> Command {
    let mut command = cluster.command(server().address(), arguments);
    command.env("BUS_PASSWORD", password);
    command
}

#[track_caller]
fn expect(cluster: &Cluster, password: &str, code: i32, arguments: &[&str]) -> Ran {
    let ran: Ran = command(cluster, password, arguments).output().unwrap().into();
    assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
    assert!(!format!("{ran:?}").contains(password), "{ran:#?}");
    ran
}

fn aside(cluster: &Cluster) -> Vec<Value> {
    expect(cluster, PASSWORD, 0, &["commands", "--json"]).json()["commands"].as_array().unwrap().clone()
}

#[test]
fn node_takes_commands_from_the_bus_and_sets_aside_what_is_none() {
    let (nats, cluster) = secured();
    cluster.configure("  events: true", "  events: true\n  commands: { stream: DESK, actor: helpdesk }");
    expect(&cluster, PASSWORD, 0, &["onboard"]);
    expect(&cluster, PASSWORD, 0, &["run", "--once"]);
    assert_eq!(cluster.target("select count(*) from account"), "3");
    let id = |key: &str| {
        let history = expect(&cluster, PASSWORD, 0, &["history", key, "--json"]).json();
        history["identity"].as_str().unwrap().to_owned()
    };
    let terminate = |who: &str| json!({"realm": "corp", "change": {"request": "terminate", "identity": who}});
    let desk = Sender::new(&nats, ("relay", PASSWORD), "DESK");
    let run = ["run", "--node", "one", "--sources-every", "60", "--drain", "10"];
    let node = Process::start(command(&cluster, PASSWORD, &run));

    desk.send("no command \u{1b}[2J");
    desk.send(terminate(&id("1001")).to_string());
    desk.send(terminate("0190a1b2-0000-7000-8000-000000000001").to_string());
    let mut claims = terminate(&id("1003"));
    claims["actor"] = json!("root");
    desk.send(claims.to_string());
    desk.send(terminate(&id("1002")).to_string());
    eventually(|| match cluster.target("select string_agg(number, ' ') from account").as_str() {
        "1003" => Ok(()),
        others => Err(format!("there are {others}")),
    });
    eventually(|| match aside(&cluster).len() {
        3 => Ok(()),
        count => Err(format!("{count} set aside")),
    });
    // None of them comes again.
    eventually(|| match desk.left("provision") {
        (0, 0) => Ok(()),
        left => Err(format!("{left:?} left")),
    });
    node.terminate();
    let ended = node.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.said.iter().any(|line| line == "2 commands taken, 3 set aside"), "{ended:#?}");

    let shown = expect(&cluster, PASSWORD, 0, &["commands"]).stdout;
    for why in ["the message is not a command", "no identity has this id", "comes from another actor"] {
        assert!(shown.contains(why), "`{why}` in {shown}");
    }
    assert!(shown.contains("DESK.desk") && !shown.contains('\u{1b}'), "{shown}");
    let status = expect(&cluster, PASSWORD, 0, &["status"]).stdout;
    assert!(status.contains("3 commands of the bus are set aside"), "{status}");

    // An operator decides them: one that is none, one of nobody, one that somebody stands for.
    let ids: Vec<String> =
        aside(&cluster).iter().map(|command| command["id"].as_str().unwrap().to_owned()).collect();
    expect(&cluster, PASSWORD, 1, &["commands", "--retry", &ids[0]]);
    expect(&cluster, PASSWORD, 0, &["commands", "--drop", &ids[0]]);
    expect(&cluster, PASSWORD, 1, &["commands", "--retry", &ids[1]]);
    expect(&cluster, PASSWORD, 0, &["commands", "--retry", &ids[2]]);
    let left: Vec<Value> = aside(&cluster);
    assert_eq!(left.iter().map(|command| command["id"].as_str().unwrap()).collect::<Vec<_>>(), [&ids[1]]);
    expect(&cluster, PASSWORD, 0, &["run", "--once"]);
    assert_eq!(cluster.target("select count(*) from account"), "0");
}

#[test]
fn login_that_is_refused_is_shown_and_keeps_events_until_it_is_right() {
    let (nats, cluster) = secured();
    expect(&cluster, "wrong horse", 0, &["onboard"]);
    expect(&cluster, "wrong horse", 0, &["run", "--once"]);
    assert_eq!(cluster.target("select count(*) from account"), "3", "the drive goes on");
    let status = expect(&cluster, "wrong horse", 0, &["status"]).stdout;
    assert!(status.contains("cannot connect to NATS: it refused our login"), "{status}");

    let foreign = Nats::start_with(NatsSetup { tls: true, ..NatsSetup::default() }).unwrap();
    let ours = nats.authority().unwrap().display().to_string();
    cluster.configure(&ours, &foreign.authority().unwrap().display().to_string());
    let refused = || {
        expect(&cluster, PASSWORD, 0, &["run", "--once"]);
        expect(&cluster, PASSWORD, 0, &["status"]).stdout
    };
    eventually(|| match refused() {
        status if status.contains("its certificate was refused") => Ok(()),
        status => Err(status),
    });

    cluster.configure(&foreign.authority().unwrap().display().to_string(), &ours);
    eventually(|| {
        expect(&cluster, PASSWORD, 0, &["run", "--once"]);
        let status = expect(&cluster, PASSWORD, 0, &["status", "--json"]).json();
        match status["sinks"][0]["unsent"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(format!("{:#}", status["sinks"])),
        }
    });
    let sent = stream::count(&nats, ("relay", PASSWORD), &cluster.stream);
    assert_eq!(cluster.store(server(), "select count(*) from provision.outbox"), sent.to_string());
    assert!(sent > 0);
}
