//! What a server with TLS shows to its clients.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Identity {
    /// Writes both into a folder; the key can be read by its owner only.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<[PathBuf; 2]> {
        let [certificate, key] = ["server.pem", "server.key"].map(|name| folder.join(name));
        fs::write(&certificate, &self.certificate)?;
        fs::write(&key, &self.key)?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        Ok([certificate, key])
    }
}
