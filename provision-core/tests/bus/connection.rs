//! TLS and logins, with real servers that insist on them.

use std::path::PathBuf;
use std::time::Duration;

use provision_core::event::jetstream::{
    JetStream, JetStreamLogin, JetStreamOptions, JetStreamSink, JetStreamSinkOptions,
};
use provision_core::event::{EventMessage, EventSink as _};
use provision_core::testkit::peer::{Nats, NatsSetup};
use provision_core::value::Secret;
use provision_core::{Effect, Error, ErrorKind, Retry};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stream::server;

const PASSWORD: &str = "correct horse";

fn secured(verify: bool, arguments: &[&str]) -> Nats {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Nats::start_with(NatsSetup { tls: true, verify, arguments }).unwrap()
}

fn password(password: &str) -> JetStreamLogin {
    JetStreamLogin::Password { user: "relay".to_owned(), password: Secret::new(password) }
}

fn options(nats: &Nats, roots: Option<PathBuf>, login: JetStreamLogin) -> JetStreamOptions {
    // The address says nothing of TLS: that it is used is our own setting.
    let servers = [format!("nats://{}", nats.address())];
    JetStreamOptions { roots, login, timeout: Duration::from_secs(5), ..JetStreamOptions::new(servers) }
}

/// Sends an event.
async fn send(options: JetStreamOptions) -> Result<(), Error> {
    let shown = format!("{options:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    let sink = JetStreamSinkOptions::new("SECURED", "secured");
    let sink = JetStreamSink::new(JetStream::new(options), sink).unwrap();
    let event = crate::fixture::event("acme", None, "x", crate::fixture::at("2026-03-02T09:00:00Z"));
    let event = EventMessage { id: "acme/e/1".to_owned(), number: 1, epoch: "e".to_owned(), event };
    let sent = tokio::time::timeout(Duration::from_secs(20), sink.send(&[event])).await.unwrap();
    match sent.error {
        Some(error) => {
            assert_eq!((sent.count, error.effect()), (0, Effect::None));
            // Somebody may put it right at the server.
            assert_eq!(error.retry(), Retry::After(None));
            assert!(!error.report().contains(PASSWORD), "{}", error.report());
            Err(error)
        }
        None => {
            assert_eq!(sent.count, 1);
            Ok(())
        }
    }
}

#[track_caller]
fn refused(sent: Result<(), Error>, kind: ErrorKind, why: &str) {
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), kind, "{}", error.report());
    assert!(error.message().contains(why), "{}", error.report());
}

#[tokio::test]
async fn the_servers_certificate_and_our_password_are_verified() {
    let nats = secured(false, &["--user", "relay", "--pass", PASSWORD]);
    send(options(&nats, nats.authority(), password(PASSWORD))).await.unwrap();

    let login = "refused our login";
    let wrong = options(&nats, nats.authority(), password("wrong"));
    refused(send(wrong).await, ErrorKind::Unauthenticated, login);
    let nobody = options(&nats, nats.authority(), JetStreamLogin::Anonymous);
    refused(send(nobody).await, ErrorKind::Unauthenticated, login);
    let token = options(&nats, nats.authority(), JetStreamLogin::Token(Secret::new(PASSWORD)));
    refused(send(token).await, ErrorKind::Unauthenticated, login);

    let certificate = "certificate was refused";
    let other = secured(false, &[]);
    let foreign = options(&nats, other.authority(), password(PASSWORD));
    refused(send(foreign).await, ErrorKind::ConfigInvalid, certificate);
    let of_the_system = options(&nats, None, password(PASSWORD));
    refused(send(of_the_system).await, ErrorKind::ConfigInvalid, certificate);
    let missing = options(&nats, Some("missing.pem".into()), password(PASSWORD));
    refused(send(missing).await, ErrorKind::ConfigInvalid, "our certificates");
}

#[tokio::test]
async fn a_token_and_a_certificate_of_ours_let_us_in() {
    let nats = secured(true, &["--auth", PASSWORD]);
    let token = |token: &str| JetStreamLogin::Token(Secret::new(token));
    let with = |login| JetStreamOptions {
        certificate: nats.certificate(),
        ..options(&nats, nats.authority(), login)
    };
    send(with(token(PASSWORD))).await.unwrap();
    refused(send(with(token("wrong"))).await, ErrorKind::Unauthenticated, "refused our login");
    let without = options(&nats, nats.authority(), token(PASSWORD));
    refused(send(without).await, ErrorKind::ConfigInvalid, "wants a certificate of ours");
    let other = secured(false, &[]);
    let foreign = JetStreamOptions { certificate: other.certificate(), ..with(token(PASSWORD)) };
    refused(send(foreign).await, ErrorKind::ConfigInvalid, "wants a certificate of ours");
}

#[tokio::test]
async fn without_tls_nothing_is_sent_unless_that_is_asked_for() {
    let plain = options(server(), None, password(PASSWORD));
    refused(send(plain.clone()).await, ErrorKind::ConfigInvalid, "no TLS with this server");
    send(JetStreamOptions { require_tls: false, ..plain }).await.unwrap();
}

/// Whoever answers in the server's place without TLS gets no password.
#[tokio::test]
async fn a_password_is_told_to_nobody_who_has_no_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = [format!("nats://{}", listener.local_addr().unwrap())];
    let options = JetStreamOptions { login: password(PASSWORD), ..JetStreamOptions::new(servers) };
    let listening = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"host\":\"x\",\"port\":1,\"max_payload\":1048576,\
            \"proto\":1,\"headers\":true,\"jetstream\":true,\"auth_required\":true,\"tls_required\":false}\r\n";
        stream.write_all(info.as_bytes()).await.unwrap();
        let mut heard = vec![0; 4_096];
        let count = stream.read(&mut heard).await.unwrap();
        // What it would answer to a login.
        stream.write_all(b"PONG\r\n").await.unwrap();
        heard.truncate(count);
        heard
    };
    let (sent, heard) = futures_util::future::join(send(options), listening).await;
    refused(sent, ErrorKind::ConfigInvalid, "no TLS with this server");
    assert_eq!(heard.first(), Some(&0x16), "a TLS handshake begins so: {heard:?}");
}
