//! Four real processes on one PostgreSQL and one target, through whatever a data centre does to them: killed and
//! started again, stopped for longer than their leases, cut off from the database at any byte, the database restarted
//! and crashed, the bus killed and away for a while, two of them with a clock that is a minute off. What they come to
//! is compared, by SQL, with one process that nobody disturbed; what they told, with what a plain consumer finds.
//!
//! `NODES_SEED` replays the choices, `NODES_ROUNDS` makes more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use provision_core::runtime::{Clock as _, SystemClock};
use provision_core::testkit::peer::{Nats, Postgres, PostgresSetup};
use provision_core::testkit::proxy::{Direction, TcpFault, TcpOptions, TcpProxy, TcpRule};
use provision_core::value::Timestamp;

use crate::cluster::{Cluster, LEASE, Setup, eventually};
use crate::process::Process;
use crate::seed::{Draw, seed};
use crate::stream;

const NODES: usize = 4;
/// People of the first file.
const PEOPLE: usize = 90;
/// Choices of a run, unless the environment says how many.
const ROUNDS: u64 = 24;
/// A file comes every so many rounds.
const FEED_EVERY: u64 = 4;
/// How long a round waits for something to move.
const ROUND_MAX: Duration = Duration::from_secs(2);
const TITLES: [&str; 3] = ["Engineer", "Pilot", "Clerk"];

/// Who works here, by number, with a title; whoever left may come back.
struct People {
    here: BTreeMap<usize, &'static str>,
    left: BTreeSet<usize>,
    next: usize,
}

impl People {
    fn new() -> Self {
        let here = (0..PEOPLE).map(|number| (1_000 + number, TITLES[number % 3])).collect();
        Self { here, left: BTreeSet::new(), next: 1_000 + PEOPLE }
    }

    /// Joiners, movers, leavers, and those who come back.
    fn change(&mut self, draw: &Draw) {
        let pick = |of: usize| usize::try_from(draw.below(of as u64)).unwrap();
        let back: Vec<usize> = self.left.iter().copied().filter(|_| draw.below(2) == 0).collect();
        for _ in 0..4 {
            let numbers: Vec<usize> = self.here.keys().copied().collect();
            let leaver = numbers[pick(numbers.len())];
            self.here.remove(&leaver);
            self.left.insert(leaver);
        }
        for _ in 0..10 {
            let numbers: Vec<usize> = self.here.keys().copied().collect();
            self.here.insert(numbers[pick(numbers.len())], TITLES[pick(3)]);
        }
        for number in back {
            self.left.remove(&number);
            self.here.insert(number, TITLES[pick(3)]);
        }
        for _ in 0..6 {
            self.here.insert(self.next, TITLES[pick(3)]);
            self.next += 1;
        }
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.here.iter().map(|(number, title)| (*number, *title))
    }
}

/// A place in the fleet: its way to the database, and the process that is there now.
struct Seat {
    number: usize,
    proxy: TcpProxy,
    process: Option<Process>,
    starts: usize,
    /// It is stopped, until then.
    stopped_until: Option<Timestamp>,
}

impl Seat {
    fn at(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Starts a process; at the last two seats with a clock that is a minute off.
    fn start(&mut self, cluster: &Cluster) {
        let name = format!("n{}-{}", self.number, self.starts);
        self.starts += 1;
        let offset = match self.number {
            2 => "60",
            3 => "-60",
            _ => "0",
        };
        self.process = Some(cluster.node(self.at(), &name, &["--clock-offset", offset]));
        self.stopped_until = None;
    }

    /// Kills it, wherever it is. True if it still ran.
    fn kill(&mut self) -> bool {
        self.stopped_until = None;
        self.process.take().is_some_and(|mut process| process.kill())
    }

    fn stop(&mut self, for_long: Duration) {
        if let Some(process) = self.process.as_mut().filter(|_| self.stopped_until.is_none())
            && process.is_running()
        {
            process.stop();
            self.stopped_until = Some(SystemClock.now().plus(for_long));
        }
    }

    fn go_on(&mut self, now: Timestamp) {
        if self.stopped_until.is_some_and(|until| until <= now) {
            self.stopped_until = None;
            self.process.as_mut().unwrap().go_on();
        }
    }
}

/// Counts what was done to the fleet.
#[derive(Debug, Default)]
struct Done {
    kills: u64,
    pauses: u64,
    cuts: u64,
    restarts: u64,
    crashes: u64,
    bus_kills: u64,
    feeds: usize,
}

struct Storm<'a> {
    cluster: &'a Cluster,
    server: &'a Postgres,
    bus: &'a Nats,
    bus_draw: Draw,
    /// The bus is away, until that round.
    bus_away_until: Option<u64>,
    draw: Draw,
    seats: Vec<Seat>,
    done: Done,
}

impl Storm<'_> {
    fn pick(&self) -> usize {
        usize::try_from(self.draw.below(NODES as u64)).unwrap()
    }

    fn changes(&self) -> u64 {
        self.cluster.target("select count(*) from history").parse().unwrap()
    }

    /// Lets some changes happen, or some time pass where none does.
    fn wait(&self) {
        let (started, before) = (SystemClock.now(), self.changes());
        let enough = 3 + self.draw.below(20);
        while self.changes() < before + enough && SystemClock.now().since(started) < ROUND_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A byte of a direction after which each connection of a seat ends.
    fn cut(&self) -> TcpRule {
        let direction = if self.draw.below(2) == 0 { Direction::ToServer } else { Direction::ToClient };
        let after = 2_000 + self.draw.below(60_000);
        TcpRule::always(TcpFault::Cut { direction, after, reset: self.draw.below(2) == 0 })
    }

    fn round(&mut self, number: u64) {
        let seat = self.pick();
        let act = match (number, self.draw.below(10)) {
            // Each happens once in every run.
            (3, _) => 9,
            (7, _) => 4,
            (11, _) => 6,
            (_, act) => act,
        };
        match act {
            0..=3 => {
                self.done.kills += u64::from(self.seats[seat].kill());
                self.seats[seat].start(self.cluster);
            }
            4 | 5 => {
                let long = LEASE + Duration::from_millis(500 + self.draw.below(3_000));
                self.seats[seat].stop(long);
                self.done.pauses += 1;
            }
            6..=8 => {
                let rule = self.cut();
                self.seats[seat].proxy.set_rules([rule]);
                self.done.cuts += 1;
            }
            _ if self.draw.below(2) == 0 => {
                self.server.crash();
                self.server.restart().unwrap();
                self.done.crashes += 1;
            }
            _ => {
                self.server.restart().unwrap();
                self.done.restarts += 1;
            }
        }
        let other = self.pick();
        if number % 3 == 2 && other != seat {
            self.seats[other].proxy.set_rules([]);
        }
        let now = SystemClock.now();
        for seat in &mut self.seats {
            seat.go_on(now);
            // Nobody ends by itself.
            let process = seat.process.as_mut().unwrap();
            assert!(process.is_running(), "seat {}: {:#?}", seat.number, seat.process.take().unwrap().end());
        }
    }

    /// Kills the bus, or starts it again when it was away for some rounds.
    fn bus(&mut self, number: u64) {
        match self.bus_away_until {
            Some(until) if until > number => {}
            Some(_) => {
                self.bus.restart().unwrap();
                self.bus_away_until = None;
            }
            None if number == 5 || self.bus_draw.below(6) == 0 => {
                self.bus.kill();
                self.bus_away_until = Some(number + 1 + self.bus_draw.below(4));
                self.done.bus_kills += 1;
            }
            None => {}
        }
    }

    /// Everybody is well again, and ends when all is done.
    fn calm(mut self, feeds: usize) -> Done {
        if self.bus_away_until.is_some() {
            self.bus.restart().unwrap();
        }
        for seat in &mut self.seats {
            seat.proxy.set_rules([]);
            seat.go_on(Timestamp::from_micros(i64::MAX));
        }
        self.cluster.settled(self.server, feeds);
        self.cluster.told(self.server);
        for seat in &self.seats {
            seat.process.as_ref().unwrap().terminate();
        }
        for seat in &mut self.seats {
            let ended = seat.process.take().unwrap().end();
            assert_eq!(ended.code, Some(0), "seat {}: {ended:#?}", seat.number);
        }
        self.done.feeds = feeds;
        self.done
    }
}

/// The files of a run, in order.
fn files(draw: &Draw, count: usize) -> Vec<Vec<(usize, &'static str)>> {
    let mut people = People::new();
    let mut files = vec![people.rows().collect()];
    while files.len() < count {
        people.change(draw);
        files.push(people.rows().collect());
    }
    files
}

/// What must never be, found by SQL.
fn look(cluster: &Cluster, server: &Postgres) {
    let none = |what: &str, rows: String| assert_eq!(rows, "", "{what}");
    none(
        "a create of somebody who had an account",
        cluster.target(
            "select number from (select number, what, lag(what) over (partition by number order by n) as before
               from history where what in ('insert', 'delete')) as steps where what = before",
        ),
    );
    none(
        "a step done twice",
        cluster.store(
            server,
            "select body::jsonb->>'plan', body::jsonb->>'step' from provision.audit
              where body::jsonb->>'event' like 'step.%.done' group by 1, 2 having count(*) > 1",
        ),
    );
    none(
        "a person twice",
        cluster.store(
            server,
            "select body::jsonb->>'key' from provision.identity group by 1 having count(*) > 1",
        ),
    );
    none(
        "steps that failed or wait for a person",
        cluster.store(server, "select key, open from provision.journal where open is not null"),
    );
    none("disputes", cluster.store(server, "select key from provision.dispute where state = 'open'"));
    none("holds", cluster.store(server, "select key from provision.hold where state = 'open'"));
    chain(cluster, server);
}

/// Every sealed range has the hash that its seal says, and follows the one before.
fn chain(cluster: &Cluster, server: &Postgres) {
    let broken = "with seals as (
        select (body::jsonb->>'number')::bigint as number, (body::jsonb->>'after')::bigint as after,
               (body::jsonb->>'last')::bigint as last, (body::jsonb->>'count')::bigint as entries,
               body::jsonb->>'hash' as hash from provision.seal),
      chained as (
        select *, coalesce(lag(hash) over (order by number), '') as before,
               coalesce(lag(last) over (order by number), 0) as before_last from seals)
      select number from chained, lateral (
        select count(*) as found, encode(sha256(convert_to(before, 'UTF8') || coalesce(string_agg(
          int8send(audit.number) || int8send(octet_length(body)::bigint) || convert_to(body, 'UTF8'), ''::bytea
          order by audit.number), ''::bytea)), 'hex') as is_hash
        from provision.audit where audit.number > after and audit.number <= last) as entries_of
      where found <> entries or is_hash <> hash or after <> before_last";
    assert_eq!(cluster.store(server, broken), "", "seals that are not whole");
    let seals: u64 = cluster.store(server, "select count(*) from provision.seal").parse().unwrap();
    assert!(seals > 0, "nothing is sealed");
}

/// Both targets hold the same; else what was done about the people who differ.
fn same(storm: &Cluster, calm: &Cluster, server: &Postgres) {
    let (left, right) = (storm.outcome(), calm.outcome());
    let (left, right): (BTreeSet<&str>, BTreeSet<&str>) = (left.lines().collect(), right.lines().collect());
    let mut differ: Vec<String> = left.symmetric_difference(&right).map(|line| (*line).to_owned()).collect();
    let people: BTreeSet<String> =
        differ.iter().filter_map(|line| line.split('|').next()).map(str::to_owned).collect();
    for number in people.iter().take(3) {
        let history = "select at at time zone 'utc', what, team from history where number";
        differ.push(storm.target(&format!("{history} = '{number}' order by n")));
        let audit = "select number, body from provision.audit where body like";
        let id = "(select body::jsonb->>'id' from provision.identity where body::jsonb->>'key' =";
        differ.push(storm.store(server, &format!("{audit} '%' || {id} '{number}') || '%' order by number")));
    }
    assert!(differ.is_empty(), "the storm came to something else: {}", differ.join("\n"));
}

/// Every event of the outbox is in the stream once, and those of one identity in order.
fn told(cluster: &Cluster, server: &Postgres) -> usize {
    let rows = cluster.store(server, "select number from provision.outbox order by number");
    let expected: BTreeSet<u64> = rows.lines().map(|number| number.parse().unwrap()).collect();
    let messages = stream::read(&cluster.bus, &cluster.stream);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for message in &messages {
        assert!(ids.insert(message.id.clone()), "{} is there twice", message.id);
        let before = last.insert(message.identity.clone(), message.number);
        assert!(before.is_none_or(|before| before < message.number), "{message:?} after {before:?}");
    }
    let found: BTreeSet<u64> = messages.iter().map(|message| message.number).collect();
    assert_eq!(found, expected, "events are lost, or nobody's");
    found.len()
}

#[test]
fn four_nodes_in_a_storm_come_to_what_one_comes_to_that_is_not_disturbed() {
    let seed = seed("NODES_SEED");
    let rounds = std::env::var("NODES_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let draw = Draw::new(seed);
    let files = files(&draw, 1 + usize::try_from(rounds / FEED_EVERY).unwrap());
    // Commits need not survive the machine here.
    let server = Postgres::start(PostgresSetup::default()).unwrap();
    let bus = Nats::start().unwrap();
    let storm = Cluster::on_bus(&server, Setup::default(), bus.url());
    let calm = Cluster::new(&server, Setup::default());
    let proxies = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seats = (0..NODES).map(|number| {
        let options = TcpOptions { seed, lifetime: Duration::from_secs(3_600), ..TcpOptions::default() };
        let proxy = proxies.block_on(TcpProxy::start(server.address(), options)).unwrap();
        Seat { number, proxy, process: None, starts: 0, stopped_until: None }
    });
    let done = {
        let (done, seats) = (Done::default(), seats.collect());
        let mut run = Storm {
            cluster: &storm,
            server: &server,
            bus: &bus,
            bus_draw: Draw::new(seed.wrapping_add(1)),
            bus_away_until: None,
            draw,
            seats,
            done,
        };
        storm.feed(0, files[0].iter().copied());
        storm.expect(server.address(), 0, &["onboard"]);
        run.seats.iter_mut().for_each(|seat| seat.start(&storm));
        for round in 0..rounds {
            run.wait();
            if round % FEED_EVERY == FEED_EVERY - 1 {
                let day = usize::try_from(round / FEED_EVERY + 1).unwrap();
                storm.feed(day, files[day].iter().copied());
            }
            run.bus(round);
            run.round(round);
        }
        run.calm(files.len())
    };
    println!("seed {seed}: {done:?}");
    look(&storm, &server);
    let told = told(&storm, &server);
    println!("seed {seed}: {} changes, {told} events", storm.target("select count(*) from history"));
    assert!(
        [done.kills, done.pauses, done.cuts, done.crashes + done.restarts, done.bus_kills]
            .iter()
            .all(|n| *n > 0),
        "{done:?}"
    );

    calm.expect(server.address(), 0, &["onboard"]);
    for (day, file) in files.iter().enumerate() {
        calm.feed(day, file.iter().copied());
        calm.expect(server.address(), 0, &["run", "--once", "--workers", "8"]);
    }
    calm.settled(&server, files.len());
    let pilots = storm.target("select count(*) from member where team = 'pilots'");
    assert_ne!(pilots, "0", "there are edges to compare");
    same(&storm, &calm, &server);
}

/// Deletes that a day has, and those who leave.
const DELETES: u32 = 150;
const LEAVERS: usize = 260;

#[test]
fn four_nodes_that_are_killed_never_delete_more_than_the_limit() {
    let seed = seed("NODES_SEED");
    let draw = Draw::new(seed);
    let server = Postgres::start(PostgresSetup::default()).unwrap();
    let cluster = Cluster::new(&server, Setup { deletes: DELETES, ..Setup::default() });
    let people = |from: usize| (from..LEAVERS + 5).map(|number| (1_000 + number, "Clerk"));
    cluster.feed(0, people(0));
    cluster.expect(server.address(), 0, &["onboard"]);
    cluster.expect(server.address(), 0, &["run", "--once", "--workers", "8"]);
    cluster.feed(1, people(LEAVERS));
    let start =
        |number: usize, start: usize| cluster.node(server.address(), &format!("n{number}-{start}"), &[]);
    let mut nodes: Vec<Process> = (0..NODES).map(|number| start(number, 0)).collect();
    let deleted =
        || -> u32 { cluster.target("select count(*) from history where what = 'delete'").parse().unwrap() };
    let mut struck = 0;
    for kill in 1..=6 {
        let before = deleted();
        let enough = before + 1 + u32::try_from(draw.below(4)).unwrap();
        let started = SystemClock.now();
        while deleted() < enough && SystemClock.now().since(started) < ROUND_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        let victim = usize::try_from(draw.below(NODES as u64)).unwrap();
        struck += u32::from(nodes[victim].kill());
        nodes[victim] = start(victim, kill);
    }
    assert!(struck > 0);
    let held = "select count(distinct who) from provision.hold, provision.plan,
        jsonb_array_elements_text(plan.body::jsonb->'scope'->'identities') as who
      where hold.state = 'open' and plan.key = hold.body::jsonb->'of'->>'plan'";
    let waiting = "select count(*) from provision.journal where open is not null";
    eventually(|| {
        let (gone, held) = (deleted(), cluster.store(&server, held).parse::<u32>().unwrap());
        let open = cluster.store(&server, waiting);
        // A person may be in a hold and be gone: see `limit`.
        let all = gone + held >= LEAVERS as u32;
        if all && open == "0" { Ok(()) } else { Err(format!("{gone} gone, {held} held, {open} open")) }
    });
    nodes.iter().for_each(Process::terminate);
    nodes.into_iter().for_each(|node| assert_eq!(node.end().code, Some(0)));
    let gone = deleted();
    println!("seed {seed}: {gone} of {DELETES} deleted, {struck} kills");
    // Batches of 64 wait whole: the last few may be left of the budget.
    assert!(gone > DELETES - 64 && gone <= DELETES, "{gone} deleted");
    let stay = format!("select count(*) from account where number::int >= {}", 1_000 + LEAVERS);
    assert_eq!(cluster.target(&stay), "5", "those who stay");
    chain(&cluster, &server);
}
