//! The servers of `testkit::peer` start, answer, and end.
#![cfg(test)]

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use provision_core::testkit::peer::{Nats, PgBouncer, Postgres, PostgresSetup, shared_nats, shared_postgres};

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn postgres_keeps_its_rows_over_a_crash_and_ends_with_its_value() {
    let setup = PostgresSetup { fsync: true, settings: vec![("max_connections".into(), "20".into())] };
    let server = Postgres::start(setup).unwrap();
    let database = server.database().unwrap();
    assert_ne!(server.database().unwrap(), database);
    server.sql(&database, "create table t (n int); insert into t values (7)").unwrap();
    let settings = "select current_setting('fsync'), current_setting('max_connections')";
    assert_eq!(server.sql(&database, settings).unwrap(), "on|20");
    server.crash();
    assert!(!answers(server.address()));
    server.restart().unwrap();
    assert_eq!(server.sql(&database, "select n from t").unwrap(), "7");
    assert!(server.sql(&database, "select no").unwrap_err().report().contains("no"));
    let address = server.address();
    drop(server);
    assert!(!answers(address));
}

#[test]
fn a_replica_follows_and_takes_over() {
    let primary = Postgres::start(PostgresSetup::default()).unwrap();
    let replica = primary.replica().unwrap();
    primary.sql("postgres", "create table t (n int); insert into t values (1)").unwrap();
    let rows = || replica.sql("postgres", "select count(*) from t").unwrap_or_default();
    let follows = (0..500).any(|_| rows() == "1");
    assert!(follows, "{:?}", rows());
    assert!(replica.sql("postgres", "insert into t values (2)").is_err(), "it is read only");
    primary.crash();
    replica.promote().unwrap();
    replica.sql("postgres", "insert into t values (2)").unwrap();
}

#[test]
fn pgbouncer_passes_transactions_on() {
    let server = shared_postgres().unwrap();
    let database = server.database().unwrap();
    let pooler = PgBouncer::start(server, 1).unwrap();
    assert!(answers(pooler.address()));
    assert_eq!(pooler.url(&database), format!("postgres://postgres@{}/{database}", pooler.address()));
}

#[test]
fn nats_starts_again_with_its_port() {
    let greeting = |address| {
        let mut bytes = [0; 4];
        TcpStream::connect(address).unwrap().read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(greeting(shared_nats().unwrap().address()), *b"INFO");
    let server = Nats::start().unwrap();
    server.kill();
    assert!(!answers(server.address()));
    server.restart().unwrap();
    assert_eq!(greeting(server.address()), *b"INFO");
}
