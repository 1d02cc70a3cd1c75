//! htpasswd files: a user and a hash a line, with a colon between.

use std::collections::HashMap;
use std::fmt;

use super::stored::{Decoy, Stored};
use crate::Unusable;

/// The longest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;
/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 1024;
/// The most users.
pub const MAX_USERS: usize = 200_000;

/// How many errors are told: a file of another kind has one a line.
const MAX_ERRORS: usize = 20;
const MAX_USER_BYTES: usize = 255;

/// The users of a file.
#[derive(Clone, Debug)]
pub struct Htpasswd {
    users: HashMap<String, Stored>,
    decoy: Decoy,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong. Nothing of the line is in it.
    pub why: Unusable,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => self.why.fmt(f),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

impl Htpasswd {
    /// Reads a file. Empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// All that is wrong, by line, at most 20: one bad line refuses the file, since the user of that line would be
    /// locked out without anyone knowing.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<LineError>> {
        let whole = |why| vec![LineError { line: 0, why: Unusable(why) }];
        if text.len() > MAX_FILE_BYTES {
            return Err(whole("the file is longer than 32 MiB"));
        }
        let mut users = HashMap::new();
        let mut errors = Vec::new();
        for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Err(why) = read(line, &mut users) {
                errors.push(LineError { line: place + 1, why });
            }
            if errors.len() >= MAX_ERRORS {
                return Err(errors);
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let decoy = Decoy::of(users.values());
        Ok(Self { users, decoy })
    }

    /// The stored hash of a user.
    pub fn get(&self, user: &str) -> Option<&Stored> {
        self.users.get(user)
    }

    /// What to verify for a user who is not there.
    pub fn decoy(&self) -> &Decoy {
        &self.decoy
    }

    /// All users, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.users.iter().map(|(user, stored)| (user.as_str(), stored))
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

fn read(line: &[u8], users: &mut HashMap<String, Stored>) -> Result<(), Unusable> {
    if line.trim_ascii().is_empty() || line.starts_with(b"#") {
        return Ok(());
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(Unusable("the line is longer than 1024 bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| Unusable("the line is not UTF-8"))?;
    let (user, stored) = line.split_once(':').ok_or(Unusable("no `:` between user and hash"))?;
    if user.is_empty() || user.len() > MAX_USER_BYTES || user.chars().any(char::is_control) {
        return Err(Unusable("the user's name is empty, longer than 255 bytes or has control characters"));
    }
    if users.contains_key(user) {
        return Err(Unusable("the user stands on a line before as well"));
    }
    if users.len() >= MAX_USERS {
        return Err(Unusable("there are more than 200000 users"));
    }
    // Some tools put fields behind the hash, as passwd(5) has them.
    let stored = stored.split(':').next().unwrap_or_default().trim_end();
    users.insert(user.to_owned(), Stored::parse(stored)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Htpasswd;

    const HASH: &str = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    #[test]
    fn users_are_read_with_comments_and_line_ends_of_both_kinds() {
        let text = format!("# made by htpasswd\n\nalice:{HASH}\r\n  \nbob:{HASH}:comment\nä b:{HASH}");
        let file = Htpasswd::parse(text.as_bytes()).unwrap();
        assert_eq!(file.len(), 3);
        assert!(file.get("alice").unwrap().verify(b"U*U"));
        assert!(file.get("bob").is_some() && file.get("ä b").is_some());
        assert!(file.get("carol").is_none() && !file.decoy().refuse(b"U*U"));
        assert!(Htpasswd::parse(b"").unwrap().is_empty());
    }

    #[test]
    fn all_errors_are_told_with_their_lines_and_without_their_secrets() {
        let text = format!(
            "alice:{HASH}\nbob\n:{HASH}\nalice:{HASH}\ncarol:plain-secret\ndave:$apr1$x$y\n\0:{HASH}\n{}:{HASH}\n",
            "x".repeat(1200)
        );
        let errors = Htpasswd::parse(text.as_bytes()).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
        assert!(errors.iter().all(|error| !error.to_string().contains("plain-secret")));
        assert!(Htpasswd::parse(b"a:\xff\n").is_err());
        assert_eq!(Htpasswd::parse("x\n".repeat(5000).as_bytes()).unwrap_err().len(), 20);
    }
}
