//! A certificate authority for one server on the loopback interface.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::failed;
use super::program::RunAs;
use crate::error::{Error, Result};

/// Files in PEM.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) authority: PathBuf,
    pub(super) server: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    /// Makes an authority and a certificate of it for `localhost` and 127.0.0.1.
    pub(super) fn make(folder: &Path, run_as: Option<RunAs>) -> Result<Self> {
        let (authority, server, key) = pems().map_err(cannot)?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(cannot)?;
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
            }
            RunAs::give(run_as, &path)?;
            Ok(path)
        };
        Ok(Self {
            authority: file("authority.pem", authority)?,
            server: file("server.pem", server)?,
            key: file("server.key", key)?,
        })
    }
}

fn pems() -> std::result::Result<(String, String, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Loopback authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let server = server.signed_by(&key, &authority)?;
    Ok((authority.pem(), server.pem(), key.serialize_pem()))
}

fn cannot(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    failed("cannot make a certificate").with_source(error)
}
