//! What documents for all protocols are compiled to, and what of it goes on through a reload.

mod acme;
mod calls;
mod certificates;
mod listeners;
mod probes;
mod transports;

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tollgate_config::{DiskFiles, parse_str, render};
use tollgate_control::compile::{Compiled, Plans, Predecessor, compile_after};
use tollgate_control::resolve::NoResolver;
use tollgate_proxy::Snapshot;
use tollgate_upstream::HealthEvents;

/// A folder with documents and what they name.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Writes a new self-signed certificate for a name, and its key. Gives the certificate.
    fn certificate(&self, cert: &str, key: &str, name: &str) -> String {
        let (pem, key_pem) = self_signed(name);
        self.write(cert, &pem);
        self.write(key, &key_pem);
        pem
    }

    /// The findings as they are shown, and what the document was compiled to.
    fn compile_after(&self, before: &Predecessor, text: &str) -> (String, Compiled) {
        let name = self.path().join("t.yaml").display().to_string();
        let loaded = parse_str(&name, &format!("version: 1\n{text}"), &DiskFiles, &|_| None);
        let findings = render(&loaded.diagnostics, &loaded.sources, false);
        let document = loaded.document.unwrap_or_else(|| panic!("{findings}"));
        let compiled = compile_after(before, &document, &NoResolver, &HealthEvents::unheard());
        let findings = render(&compiled.diagnostics, &loaded.sources, false);
        (findings.replace(&*self.path().to_string_lossy(), "T"), compiled)
    }

    /// A right document.
    fn right_after(&self, before: &Predecessor, text: &str) -> (Arc<Snapshot>, Plans) {
        let (findings, compiled) = self.compile_after(before, text);
        (compiled.snapshot.unwrap_or_else(|| panic!("{findings}")), compiled.plans)
    }

    fn right(&self, text: &str) -> (Arc<Snapshot>, Plans) {
        self.right_after(&Predecessor::default(), text)
    }

    /// The findings of a document that loads and does not compile.
    fn wrong(&self, text: &str) -> String {
        let (findings, compiled) = self.compile_after(&Predecessor::default(), text);
        assert!(compiled.snapshot.is_none(), "{findings}");
        findings
    }
}

fn self_signed(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}
