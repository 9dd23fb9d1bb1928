//! Many processes of the real program on one PostgreSQL, and a target that all of them write: tables in another
//! database, whose triggers note every change. Everything is looked at by `psql`.

use std::process::Command;
use std::time::Duration;

use provision_core::runtime::{Clock as _, SystemClock};
use provision_core::testkit::peer::{Postgres, shared_nats, shared_postgres};
use provision_examples::account_table::TABLES;

use crate::process::{BOUND, Process};
use crate::site::Site;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long a worker has an identity.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

const CONFIGURATION: &str = r#"
realm: corp
store:
  postgres:
    url: ${env:STORE_URL}
bus:
  nats:
    url: ${env:BUS_URL}
    prefix: PREFIX
    tls: false
  events: true
bundle: bundle.yaml
settle_ms: 200
sources:
  - name: hr
    kind: csv
    config:
      path: hr
      pattern: "*.csv"
      mode: full
      key: id
      columns: { givenName: first, familyName: last, title: title }
      sequence: { from_name: true }
    absence: { remove_after: 1 }
    guard: { removed_percent_max: 100 }
targets:
  - name: staff
    kind: account-table
    config:
      url: ${env:TARGET_URL}
      latency_ms: LATENCY
    drive: enforce
    timeout_seconds: TIMEOUT
    retry: { attempts_max: 60, first_seconds: 1, longest_seconds: 1 }
    concurrency: CONCURRENCY
    classes: { account: { marker: number, on_delete: delete } }
    budgets:
      create: { always: 5000, percent: 0 }
      disable: { always: 5000, percent: 0 }
      delete: { always: DELETES, percent: 0 }
      revoke: { always: 5000, percent: 0 }
      key_rewrite: { always: 5000, percent: 0 }
"#;

const BUNDLE: &str = r#"
bundle: 1
version: nodes
namespaces:
  login: { case: ignore }
roles:
  staff:
    grants:
      - { account: staff/account }
      - { group: everybody, on: staff/account, group_class: team }
  pilots:
    grants: [{ group: pilots, on: staff/account, group_class: team }]
rules:
  - { id: all, when: 'lifecycle != "terminated"', roles: [staff] }
  - { id: pilots, when: 'lifecycle != "terminated" && user.title == "Pilot"', roles: [pilots] }
targets:
  staff:
    account:
      enabled: 'lifecycle == "active"'
      names:
        - login:
            namespace: login
            max: 20
            allow: a-z0-9
            parts: [{ value: user.familyName, max: 19 }, { value: user.givenName, max: 1 }]
      attributes:
        number: { value: key, strength: create_only }
        name: 'user.givenName + " " + user.familyName'
        title: user.title
"#;

/// The teams there are, and a note of every change.
const HISTORY: &str = "
insert into team values ('everybody'), ('pilots');
create table history (
  n bigint generated always as identity primary key, at timestamptz default clock_timestamp(), what text,
  number text, team text);
create function note_account() returns trigger language plpgsql as $$ begin
  insert into history (what, number) values (lower(tg_op), coalesce(new.number, old.number)); return null; end $$;
create function note_member() returns trigger language plpgsql as $$ begin
  insert into history (what, number, team) select 'edge ' || lower(tg_op),
    (select number from account where id = coalesce(new.account, old.account)), coalesce(new.team, old.team);
  return null; end $$;
create trigger note after insert or update or delete on account for each row execute function note_account();
create trigger note after insert or update or delete on member for each row execute function note_member();
";

/// How a cluster is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// How long a call of the target takes.
    pub(crate) latency: Duration,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Calls side by side of a worker.
    pub(crate) concurrency: u32,
    /// Deletes in a day.
    pub(crate) deletes: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(30),
            timeout: Duration::from_secs(2),
            concurrency: 16,
            deletes: 5_000,
        }
    }
}

/// A site whose store is in a database.
pub(crate) struct Cluster {
    pub(crate) site: Site,
    store: String,
    target: String,
    /// The stream of its events.
    pub(crate) stream: String,
    /// The address of its bus.
    pub(crate) bus: String,
}

impl Cluster {
    /// With an empty store in this server, and an empty target.
    pub(crate) fn new(server: &Postgres, setup: Setup) -> Self {
        Self::on_bus(server, setup, shared_nats().unwrap().url())
    }

    /// As [`Cluster::new`], with this bus.
    pub(crate) fn on_bus(server: &Postgres, setup: Setup, bus: String) -> Self {
        let target = shared_postgres().unwrap().database().unwrap();
        shared_postgres().unwrap().sql(&target, &format!("{TABLES}{HISTORY}")).unwrap();
        let configuration = CONFIGURATION
            .replace("PREFIX", &target)
            .replace("LATENCY", &setup.latency.as_millis().to_string())
            .replace("TIMEOUT", &setup.timeout.as_secs().to_string())
            .replace("CONCURRENCY", &setup.concurrency.to_string())
            .replace("DELETES", &setup.deletes.to_string());
        let site = Site::of(&configuration, BUNDLE);
        Self { site, store: server.database().unwrap(), stream: target.to_uppercase(), target, bus }
    }

    /// The address of the store, by way of this host and port.
    pub(crate) fn url(&self, at: std::net::SocketAddr) -> String {
        format!("postgres://postgres@{at}/{}?sslmode=disable", self.store)
    }

    /// The real program, with its store reached there.
    pub(crate) fn command(&self, at: std::net::SocketAddr, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        command
            .env("STORE_URL", self.url(at))
            .env("TARGET_URL", shared_postgres().unwrap().url(&self.target))
            .env("BUS_URL", &self.bus)
            .env("RUST_LOG", std::env::var("NODES_LOG").unwrap_or_else(|_| "provision_core=warn".to_owned()));
        command
    }

    /// Runs it and expects this exit code; what it printed.
    #[track_caller]
    pub(crate) fn expect(&self, at: std::net::SocketAddr, code: i32, arguments: &[&str]) -> String {
        let ran: crate::support::Ran = self.command(at, arguments).output().unwrap().into();
        assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
        ran.stdout
    }

    /// A node that runs until it is told to end.
    pub(crate) fn node(&self, at: std::net::SocketAddr, name: &str, more: &[&str]) -> Process {
        let lease = LEASE.as_secs().to_string();
        let mut arguments = vec!["run", "--node", name, "--workers", "2", "--sources-every", "1"];
        for (setting, value) in [("--lease", lease.as_str()), ("--drain", "10")] {
            if !more.contains(&setting) {
                arguments.extend([setting, value]);
            }
        }
        arguments.extend(more);
        Process::start(self.command(at, &arguments))
    }

    /// A full HR file: key, family name, title.
    pub(crate) fn feed(&self, day: usize, people: impl Iterator<Item = (usize, &'static str)>) {
        let rows = people.map(|(number, title)| format!("{number},{},N{number},{title}\n", first(number)));
        let text = format!("id,first,last,title\n{}", rows.collect::<String>());
        // A reader sees the whole file or none.
        let name = format!("hr/2026-{:02}-{:02}", 1 + day / 28, 1 + day % 28);
        self.site.write(&format!("{name}.new"), &text);
        self.site.rename(&format!("{name}.new"), &format!("{name}.csv"));
    }

    /// Asks the store's database.
    pub(crate) fn store(&self, server: &Postgres, sql: &str) -> String {
        server.sql(&self.store, sql).unwrap()
    }

    /// Asks the target's database.
    pub(crate) fn target(&self, sql: &str) -> String {
        shared_postgres().unwrap().sql(&self.target, sql).unwrap()
    }

    /// What the target holds, whatever its ids are.
    pub(crate) fn outcome(&self) -> String {
        let accounts = self.target("select number, login, name, title, enabled from account order by number");
        let edges = "select number, team from member join account on id = account order by number, team";
        format!("{accounts}\n--\n{}", self.target(edges))
    }

    /// A little of what is left, for the message.
    fn unsettled(&self, server: &Postgres) -> String {
        let asked = ["journal where open is not null", "work", "dispute", "hold"];
        let rows =
            asked.map(|from| self.store(server, &format!("select key, body from provision.{from} limit 2")));
        format!("{}\n{}", rows.join("\n"), self.expect(server.address(), 0, &["status"]))
    }

    /// Waits until every feed is taken over and nothing waits for anybody but a person.
    pub(crate) fn settled(&self, server: &Postgres, feeds: usize) {
        let ask = "select (select count(distinct key) from provision.feed where body::jsonb->>'state' = 'applied')
            || ' ' || (select count(*) from provision.work)
            || ' ' || (select count(*) from provision.journal where open like 'intent/%' or open like 'waiting/%')
            || ' ' || (select count(*) from provision.meta where key = 'marking')";
        eventually(|| {
            let said = self.store(server, ask);
            let settled = said == format!("{feeds} 0 0 0");
            if settled { Ok(()) } else { Err(format!("{said}: {}", self.unsettled(server))) }
        });
    }

    /// Waits until the bus has every event.
    pub(crate) fn told(&self, server: &Postgres) {
        eventually(|| {
            let status = self.expect(server.address(), 0, &["status", "--json"]);
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            match status["sinks"][0]["unsent"].as_u64() {
                Some(0) => Ok(()),
                _ => Err(format!("{:#}", status["sinks"])),
            }
        });
    }

    /// Changes the configuration.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let text = self.site.read("provisioner.yaml");
        assert!(text.contains(from), "{text}");
        self.site.write("provisioner.yaml", &text.replace(from, to));
    }
}

fn first(number: usize) -> &'static str {
    ["Ann", "Bo", "Cy"][number % 3]
}

/// Looks until it is so, within the bound.
pub(crate) fn eventually(is: impl Fn() -> Result<(), String>) {
    let started = SystemClock.now();
    loop {
        let Err(last) = is() else { return };
        assert!(SystemClock.now().since(started) < BOUND, "waited too long: {last}");
        std::thread::sleep(LOOK);
    }
}
