//! Opening: roles, TLS, many at once, and what cannot be opened.

use futures_util::future::try_join_all;
use provision_core::store::{Changes, Commit, PostgresOptions, PostgresStore, Store, Table};
use provision_core::testkit::store as suite;
use provision_core::{Effect, Error, ErrorKind, Retry};

use crate::fixture::realm;
use crate::postgres_fixture::{fresh, open, options, server};

async fn refusal(options: PostgresOptions) -> Error {
    open(options).await.unwrap_err()
}

/// The address of a database as a user with a password.
fn address(user: &str, password: &str, database: &str) -> String {
    format!("postgres://{user}:{password}@{}/{database}?sslmode=disable", server().address())
}

/// A role of this server; tests share it.
fn role(name: &str) {
    let make = format!("create role {name} login password 'correct'");
    server().sql("postgres", &make).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_open_an_empty_database_at_once() {
    let database = server().database().unwrap();
    let url = server().url(&database);
    let stores = try_join_all((0..10).map(|_| open(options(&url)))).await.unwrap();
    for (number, store) in stores.iter().enumerate() {
        let put = vec![suite::row(Table::Meta, &number.to_string(), &[], "{}")];
        let changes = Changes { put, ..Changes::in_realm(&realm()) };
        assert_eq!(store.commit(changes).await.unwrap(), Commit::Committed);
    }
    let steps = "select count(*), count(distinct version), max(version) from provision.schema_migration";
    let steps = server().sql(&database, steps).unwrap();
    let [all, distinct, last] = steps.split('|').collect::<Vec<_>>()[..] else { panic!("{steps}") };
    assert!(all == distinct && all == last && all != "0", "{steps}");
    assert_eq!(server().sql(&database, "select count(*) from provision.store_epoch").unwrap(), "1");
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let (_, database) = fresh().await;
    role("guarded");
    let error = refusal(PostgresOptions::new(address("guarded", "hunter2", &database))).await;
    assert!(error.to_string().contains("password") && !error.report().contains("hunter2"), "{error:?}");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::StoreUnusable, Retry::Never));
    let mut separate = PostgresOptions::new(address("guarded", "x", &database).replace(":x@", "@"));
    separate.password = Some("hunter2".to_owned().into());
    let error = refusal(separate).await;
    assert!(error.to_string().contains("password"), "{error:?}");

    let error = refusal(options(&server().url("no_such_database"))).await;
    assert!(error.to_string().contains("createdb"), "{error:?}");
    let error = refusal(options("postgres://postgres@127.0.0.1:1/x")).await;
    assert_ne!(error.retry(), Retry::Never, "it may start: {error:?}");

    // A role that may not make a schema, in a database without one.
    let empty = server().database().unwrap();
    let error = refusal(PostgresOptions::new(address("guarded", "correct", &empty))).await;
    assert!(error.to_string().contains("owner"), "{error:?}");
    let mut waits = options(&server().url(&empty));
    waits.migrate = false;
    let error = refusal(waits).await;
    assert!(error.to_string().contains("migrate"), "{error:?}");

    let mut named = options(&server().url(&database));
    named.schema = "no\"quotes".to_owned();
    assert_eq!(refusal(named).await.kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test]
async fn a_schema_that_is_newer_or_changed_is_refused() {
    let (_, database) = fresh().await;
    let note = "insert into provision.schema_migration (version, name, usable_from, sha256) values (99, 'x', 99, 'x')";
    server().sql(&database, note).unwrap();
    let error = refusal(options(&server().url(&database))).await;
    assert!(error.to_string().contains("newer version"), "{error:?}");
    server().sql(&database, "delete from provision.schema_migration where version = 99").unwrap();
    server().sql(&database, "update provision.schema_migration set sha256 = 'x' where version = 1").unwrap();
    let error = refusal(options(&server().url(&database))).await;
    assert!(error.to_string().contains("was changed"), "{error:?}");
}

#[tokio::test]
async fn the_servers_certificate_and_name_are_verified() {
    let database = server().database().unwrap();
    let url = server().url(&database).replace("127.0.0.1", "localhost");
    let mut verified = PostgresOptions::new(&*url);
    verified.ca_file = Some(server().authority());
    let store = open(verified.clone()).await.unwrap();
    let encrypted = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) \
                     where datname = current_database() and application_name = 'provision'";
    assert_eq!(server().sql(&database, encrypted).unwrap(), "t");
    drop(store);
    let error = refusal(PostgresOptions::new(&*url)).await;
    assert!(error.to_string().contains("ca_file"), "nobody vouches for it: {error:?}");
    let port = server().address().port();
    let other = format!("host=db.example hostaddr=127.0.0.1 port={port} user=postgres dbname={database}");
    let error = refusal(PostgresOptions { url: other.into(), ..verified }).await;
    assert!(error.to_string().contains("certificate was refused"), "{error:?}");
    // On the unix socket there is nothing to verify.
    let folder = server().socket_folder().display().to_string();
    let socket = format!("host={folder} port={port} user=postgres dbname={database}");
    open(PostgresOptions::new(socket)).await.unwrap();
}

/// The role of the nodes does everything a store does, and nothing else.
#[tokio::test]
async fn a_role_that_owns_nothing_works() {
    let (_, database) = fresh().await;
    role("runtime");
    server().sql(&database, &PostgresStore::runtime_grants("provision", "runtime").unwrap()).unwrap();
    let mut limited = PostgresOptions::new(address("runtime", "correct", &database));
    limited.migrate = false;
    let store = open(limited).await.unwrap();
    suite::run_all(&store).await.unwrap();
    for refused in [
        "drop table provision.link",
        "truncate provision.audit",
        "alter table provision.work add column x text",
        "create table provision.mine (x int)",
        "create index on provision.work (body)",
        "drop schema provision cascade",
        "delete from provision.schema_migration",
        "update provision.store_epoch set epoch = 'x'",
        "insert into provision.inbox (realm, key, change) values ('r', 'k', '{}')",
    ] {
        let error = server().sql(&database, &format!("set role runtime; {refused}")).unwrap_err();
        assert!(
            error.report().contains("permission denied") || error.report().contains("must be owner"),
            "{error:?}"
        );
    }
    assert!(PostgresStore::runtime_grants("provision", "x; drop table link").is_err());
}

#[tokio::test]
async fn two_schemas_are_two_stores() {
    let (store, database) = fresh().await;
    let other =
        open(PostgresOptions { schema: "second".into(), ..options(&server().url(&database)) }).await.unwrap();
    let put = vec![suite::row(Table::Meta, "k", &[], "{}")];
    store.commit(Changes { put, ..Changes::in_realm(&realm()) }).await.unwrap();
    assert!(other.realms().await.unwrap().is_empty());
    assert_ne!(store.epoch().await.unwrap(), other.epoch().await.unwrap());
    let error = store.backup(std::path::Path::new("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unsupported, Some(Effect::None)));
}
