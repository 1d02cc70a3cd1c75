//! Finding the programs, and saying how to get those that are missing.

use super::plan::{Cell, Protocol, Row, Shape, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where daemons are, though not always on the PATH of a plain user.
const DAEMON_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program that was found.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it says about its version.
    pub(crate) version: String,
    /// What it says about how it was built; only the peers are asked.
    built: String,
}

/// The programs to compare.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    found: BTreeMap<Subject, Program>,
    /// For each missing one a line about how to get it.
    pub(crate) missing: Vec<String>,
    /// The load over HTTP/2.
    pub(crate) h2load: Option<PathBuf>,
    /// Where limits count that instances share.
    pub(crate) redis: Option<PathBuf>,
}

impl Programs {
    /// The program for a subject.
    pub(crate) fn get(&self, subject: Subject) -> Option<&Program> {
        self.found.get(&subject)
    }

    /// All programs found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Subject, &Program)> {
        self.found.iter().map(|(subject, program)| (*subject, program))
    }

    /// Takes the file named for a subject, or else looks for `default`.
    pub(crate) fn locate(&mut self, subject: Subject, named: Option<&Path>, default: &str) {
        let path = named.map(Path::to_path_buf).or_else(|| search(default));
        let found = path.ok_or_else(|| format!("{subject} was not found")).and_then(|path| {
            // The programs run in a folder of their own.
            let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
            let version = version(subject, &path)?;
            let built = built(subject, &path);
            let library = tls_library(&built).map_or_else(String::new, |library| format!(" with {library}"));
            Ok(Program { path, version: version + &library, built })
        });
        match found {
            Ok(program) => drop(self.found.insert(subject, program)),
            Err(why) => self.missing.push(format!("{why}: {}", how_to_get(subject))),
        }
    }

    /// This program itself, as the floor.
    pub(crate) fn add_floor(&mut self, path: PathBuf) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.found.insert(Subject::Floor, Program { path, version, built: String::new() });
    }

    /// Takes the file named for h2load, or else looks for it.
    pub(crate) fn locate_h2load(&mut self, named: Option<&Path>) {
        self.h2load = named.map(Path::to_path_buf).or_else(|| search("h2load"));
        if self.h2load.is_none() {
            let how = "install it (Debian: apt-get install nghttp2-client) or name one with --h2load FILE";
            self.missing.push(format!("h2load, the load over HTTP/2, was not found: {how}"));
        }
    }

    /// Takes the file named for Redis, or else looks for it.
    pub(crate) fn locate_redis(&mut self, named: Option<&Path>) {
        self.redis = named.map(Path::to_path_buf).or_else(|| search("redis-server"));
        if self.redis.is_none() {
            let how = "install it (Debian: apt-get install redis-server) or name one with --redis FILE";
            self.missing.push(format!("Redis was not found: {how}"));
        }
    }

    /// Whether a cell can be run: its program is there and was built with what the cell needs.
    pub(crate) fn can(&self, cell: Cell) -> bool {
        let over_http2 = matches!(cell.shape.protocol(), Protocol::Http2 | Protocol::Grpc);
        let program = self.get(cell.subject);
        program.is_some_and(|program| lacks(cell, program).is_none())
            && (!over_http2 || self.h2load.is_some())
            && (cell.shape != Shape::GateRedis || self.redis.is_some())
    }

    /// Notes which cells of these rows are left out because their program was built without what they need.
    pub(crate) fn note_gaps(&mut self, rows: &[&Row]) {
        let mut gaps = BTreeSet::new();
        for cell in rows.iter().flat_map(|row| row.cells()) {
            let lacking = self.get(cell.subject).and_then(|program| lacks(cell, program));
            gaps.extend(lacking.map(|what| format!("{} was built without {what}", cell.subject)));
        }
        self.missing.extend(gaps.into_iter().map(|gap| format!("{gap}: its places stay empty")));
    }
}

/// What a program was built without, though the cell needs it.
fn lacks(cell: Cell, program: &Program) -> Option<&'static str> {
    let has = |word: &str| program.built.split_ascii_whitespace().any(|built| built == word);
    let needs: (&str, &str) = match (cell.subject, cell.shape.protocol()) {
        (Subject::Haproxy, Protocol::Tls | Protocol::Http2) => ("+OPENSSL", "TLS"),
        (Subject::Haproxy, Protocol::Http3) => ("+QUIC", "QUIC"),
        (Subject::Nginx, Protocol::Tls) => ("--with-http_ssl_module", "TLS"),
        (Subject::Nginx, Protocol::Http2 | Protocol::Grpc) => ("--with-http_v2_module", "HTTP/2"),
        (Subject::Nginx, Protocol::Http3) => ("--with-http_v3_module", "HTTP/3"),
        (Subject::Nginx, Protocol::Tcp | Protocol::Udp) => ("--with-stream", "its stream module inside"),
        _ => return None,
    };
    (!has(needs.0)).then_some(needs.1)
}

/// The TLS library it runs with, as HAProxy and nginx tell it, without the day of its release.
fn tls_library(built: &str) -> Option<String> {
    let line = ["Running on OpenSSL version : ", "built with "]
        .iter()
        .find_map(|intro| built.lines().find_map(|line| line.strip_prefix(intro)))?;
    Some(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// All it says about how it was built; nothing if it says nothing.
fn built(subject: Subject, path: &Path) -> String {
    let flag = match subject {
        Subject::Haproxy => "-vv",
        Subject::Nginx => "-V",
        _ => return String::new(),
    };
    let output = Command::new(path).arg(flag).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

fn how_to_get(subject: Subject) -> &'static str {
    match subject {
        Subject::Haproxy => "install it (Debian: apt-get install haproxy) or name one with --haproxy FILE",
        Subject::Nginx => "install it (Debian: apt-get install nginx-light) or name one with --nginx FILE",
        Subject::Caddy => "install it (Debian: apt-get install caddy) or name one with --caddy FILE",
        Subject::Tollgate => {
            "build it (cargo build --release --package tollgate) or name one with --tollgate FILE"
        }
        Subject::Floor => "it is part of this program",
    }
}

/// A name with a slash is a file; any other is looked for on the PATH and among the daemons.
fn search(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(DAEMON_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The first line it prints about its version; nginx prints to stderr.
fn version(subject: Subject, path: &Path) -> Result<String, String> {
    let flag = if matches!(subject, Subject::Tollgate | Subject::Caddy) { "version" } else { "-v" };
    let output = Command::new(path).arg(flag).output();
    let output = output.map_err(|error| format!("{} does not start ({error})", path.display()))?;
    if !output.status.success() {
        return Err(format!("{} {flag} failed ({})", path.display(), output.status));
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().next().unwrap_or("no version").trim();
    let line = line.split(" - https://").next().unwrap_or(line);
    let names = ["HAProxy version ", "nginx version: nginx/", "tollgate "];
    Ok(names.iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Program, Programs, Subject, lacks, tls_library};
    use crate::run::plan::{Cell, Shape};
    use std::path::Path;

    #[test]
    fn a_missing_program_comes_with_advice() {
        let mut programs = Programs::default();
        programs.locate(Subject::Haproxy, Some(Path::new("/nowhere/haproxy")), "haproxy");
        programs.locate(Subject::Tollgate, None, "target/nowhere/tollgate");
        programs.locate(Subject::Nginx, Some(Path::new("/bin/false")), "nginx");
        assert!(programs.get(Subject::Haproxy).is_none());
        assert!(programs.missing[0].contains("apt-get install haproxy"), "{:?}", programs.missing);
        assert!(programs.missing[1].contains("cargo build --release"), "{:?}", programs.missing);
        assert!(programs.missing[2].contains("failed"), "{:?}", programs.missing);
    }

    #[test]
    fn a_program_is_asked_what_it_was_built_with() {
        let text = "nginx version: nginx/1.26.3\nbuilt by gcc 12\nbuilt with OpenSSL 3.5.7 9 Jun 2026\n\
                    configure arguments: --with-http_ssl_module --with-stream=dynamic\n";
        assert_eq!(tls_library(text).as_deref(), Some("OpenSSL 3.5.7"));
        assert_eq!(tls_library("HAProxy version 3.0.11"), None);
        let nginx = Program { path: "nginx".into(), version: String::new(), built: text.to_owned() };
        let lacking = |shape| lacks(Cell { shape, subject: Subject::Nginx }, &nginx);
        assert_eq!((lacking(Shape::Tls), lacking(Shape::Small)), (None, None));
        assert!(lacking(Shape::Http2).is_some() && lacking(Shape::Udp).is_some());
    }
}
