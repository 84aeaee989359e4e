//! Certificates for servers of tests, and programs that trust their authority.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{env, fs, path::PathBuf, process::Command};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::identity::Identity;

/// A certificate authority of one test.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one with a key of its own. Clients tell authorities apart by their names.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("a certificate");
        let authority = Self { issuer, folder: TempDir::new().expect("a folder") };
        fs::write(authority.file(), authority.issuer.as_ref().pem()).expect("a file");
        authority
    }

    /// One that [`Self::trusted_by`] does not trust; nor any other.
    pub fn untrusted() -> Self {
        let authority = Self::named("untrusted");
        fs::write(authority.file(), "").expect("a file");
        authority
    }

    /// A certificate for a server with this name or IP address.
    pub fn issue(&self, name: &str) -> Identity {
        let key = new_key();
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The current test program once more, with one test only, which trusts this authority and no
    /// other: `SSL_CERT_FILE` of a process is set when it starts.
    pub fn trusted_by(&self, test: &str) -> Command {
        let mut command = Command::new(env::current_exe().expect("the path of this program"));
        command.args(["--exact", "--nocapture", test]);
        command.env("SSL_CERT_FILE", self.file()).env_remove("SSL_CERT_DIR");
        command
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
