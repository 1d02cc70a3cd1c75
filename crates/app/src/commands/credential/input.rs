//! Reading secrets: from a terminal, which does not show them, or from what is piped in.

use std::io::{IsTerminal, Read, Write, stderr, stdin};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The most bytes that are read.
const LONGEST: u64 = 64 * 1024;

/// A secret that there is, in one line: `what` it is called at the prompt. The end of the line is not part of it.
pub(super) fn secret(what: &str) -> Result<String> {
    let secret = if stdin().is_terminal() { typed(what)? } else { piped()? };
    if secret.is_empty() {
        bail!("nothing was read from standard input, which is where the {what} is to be");
    }
    if secret.contains(char::is_control) {
        bail!("the {what} has a line break or another control character in it");
    }
    Ok(secret)
}

/// The same for one that begins to be used: at a terminal it is asked for twice.
pub(super) fn new_secret(what: &str) -> Result<String> {
    let first = secret(what)?;
    if stdin().is_terminal() && secret(&format!("{what} again"))? != first {
        bail!("the two are not the same");
    }
    Ok(first)
}

fn piped() -> Result<String> {
    let mut text = String::new();
    let read = stdin().take(LONGEST + 1).read_to_string(&mut text);
    let length = read.context("cannot read standard input as text")?;
    if length as u64 > LONGEST {
        bail!("standard input has more than {LONGEST} bytes");
    }
    Ok(without_line_end(text))
}

fn typed(what: &str) -> Result<String> {
    let _silent = Silent::new().context("cannot keep the terminal from showing what is typed")?;
    write!(stderr(), "{what}: ")?;
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    writeln!(stderr())?;
    Ok(without_line_end(line))
}

fn without_line_end(mut text: String) -> String {
    for end in ['\n', '\r'] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    text
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent(Termios);

impl Silent {
    fn new() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Where that fails there is no terminal any more.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.0);
    }
}
