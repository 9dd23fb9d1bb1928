//! Where the database is, and how the way there is protected.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::misconfigured;
use super::options::PostgresOptions;
use crate::error::Result;
use crate::value::Secret;

/// A connection over which nothing comes for so long is looked after. The system counts whole seconds.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// An address that was understood.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    /// `None`: without TLS.
    pub(super) tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Reads an address.
    pub(super) fn read(url: &Secret, options: &PostgresOptions) -> Result<Self> {
        let (url, mode) = without_mode(url.expose());
        // The cause would quote the address, which may hold a password.
        let mut config: Config = url.parse().map_err(|_| {
            misconfigured(
                "the address of the database cannot be read: give postgres://user@host:port/database; characters \
                 like @ and : in a name are written as %40 and %3A",
            )
        })?;
        if let (None, Some(password)) = (config.get_password(), &options.password) {
            config.password(password.expose());
        }
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        let sockets = hosts.iter().filter(|host| !matches!(host, Host::Tcp(_))).count();
        if hosts.is_empty() && addresses.is_empty() {
            return Err(misconfigured("the address of the database names no host"));
        }
        let tls = match mode.as_deref() {
            Some("disable") => false,
            Some("verify-full" | "require") => true,
            None => sockets == 0,
            Some(_) => {
                return Err(misconfigured(
                    "sslmode is `verify-full` (the default) or `disable`: the others connect to whoever answers",
                ));
            }
        };
        if tls && sockets > 0 {
            return Err(misconfigured("there is no TLS over a unix socket: leave sslmode out"));
        }
        if config.get_application_name().is_none() {
            config.application_name("provision");
        }
        config
            .ssl_mode(if tls { SslMode::Require } else { SslMode::Disable })
            .connect_timeout(options.connect_timeout)
            .tcp_user_timeout(options.statement_timeout)
            .keepalives_idle(KEEPALIVE)
            .target_session_attrs(TargetSessionAttrs::Any);
        if hosts_of(&config) > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = if tls { Some(connector(options.ca_file.as_deref())?) } else { None };
        Ok(Self { config, tls })
    }
}

fn hosts_of(config: &Config) -> usize {
    config.get_hosts().len().max(config.get_hostaddrs().len())
}

/// Takes `sslmode` out of an address: the client library knows fewer of them than people write.
fn without_mode(url: &str) -> (String, Option<String>) {
    let mut mode = None;
    let mut keep = |part: &&str| match part.strip_prefix("sslmode=") {
        Some(found) => {
            mode = Some(found.trim_matches('\'').to_owned());
            false
        }
        None => true,
    };
    let url = match url.split_once('?') {
        Some((address, settings)) if url.contains("://") => {
            let kept: Vec<&str> = settings.split('&').filter(&mut keep).collect();
            if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
        }
        None if url.contains("://") => url.to_owned(),
        _ => url.split(' ').filter(&mut keep).collect::<Vec<_>>().join(" "),
    };
    (url, mode)
}

/// Verifies the server's certificate and its name.
fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable = |error: rustls::pki_types::pem::Error| {
                misconfigured("cannot read the file of certificate authorities: give a PEM file")
                    .with_context("file", path.display().to_string())
                    .with_source(error)
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let added = roots.add(certificate.map_err(unreadable)?);
                added.map_err(|error| {
                    misconfigured("an authority's certificate is no good").with_source(error)
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(misconfigured(
            "there is no certificate authority to verify the database with: set `ca_file` to a PEM file",
        ));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| misconfigured("TLS cannot be set up").with_source(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address> {
        Address::read(&Secret::new(url), &PostgresOptions::new(url))
    }

    #[test]
    fn tls_is_left_out_only_when_asked_for_and_on_a_unix_socket() {
        for plain in [
            "postgres://ada@db/shop?sslmode=disable",
            "postgres://ada@db/shop?connect_timeout=3&sslmode=disable",
            "host=db user=ada sslmode=disable",
            "host=/run/postgresql user=ada",
            "postgres://ada@%2Frun%2Fpostgresql/shop",
        ] {
            assert!(read(plain).unwrap().tls.is_none(), "{plain}");
        }
        for refused in [
            "postgres://ada@db/shop?sslmode=prefer",
            "host=/run/postgresql user=ada sslmode=require",
            "postgres:///shop",
        ] {
            assert!(read(refused).is_err(), "{refused}");
        }
        let mut options = PostgresOptions::new("postgres://ada@db/shop");
        let missing = options.url.clone();
        options.ca_file = Some("no such file".into());
        let error = Address::read(&missing, &options).err().unwrap();
        assert!(error.report().contains("no such file"), "it would verify: {error:?}");
    }

    #[test]
    fn an_unreadable_address_is_not_repeated() {
        let error = read("postgres://ada:hunter2@db:port/shop").err().unwrap();
        assert!(!error.report().contains("hunter2"), "{error:?}");
    }
}
