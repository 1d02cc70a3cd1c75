//! Why the running instance was not reached, and what to do about it.

use std::fmt;
use std::io;

/// Nobody answered, at none of the places that were tried. Has an exit code of its own.
#[derive(Debug, Default)]
pub struct Unreachable {
    tried: Vec<(String, String)>,
}

impl Unreachable {
    /// There was one place to try.
    pub fn one(place: String, problem: String) -> Self {
        Self { tried: vec![(place, problem)] }
    }

    /// Adds a place.
    pub fn add(&mut self, place: String, problem: String) {
        self.tried.push((place, problem));
    }

    /// Adds a place that could not be connected to.
    pub fn add_io(&mut self, place: String, error: &io::Error) {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no such socket. Tollgate does not run, or its socket is elsewhere (`admin.socket` \
                 in its document): name it with --socket"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "this user may not open it. Run this as root or as the user that Tollgate runs as".to_owned()
            }
            io::ErrorKind::ConnectionRefused => "nobody listens there (any more)".to_owned(),
            _ => error.to_string(),
        };
        self.add(place, problem);
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot reach the running instance")?;
        for (place, problem) in &self.tried {
            write!(f, "\n  {place}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}
