//! Text for people: colours, tables, figures.

pub mod figures;
pub mod table;

use std::io::IsTerminal;

/// What a text is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Doubtful,
    /// Wrong.
    Bad,
    /// Of less interest.
    Quiet,
}

/// Whether standard output gets colours: `NO_COLOR` and `CLICOLOR=0` switch them off, `CLICOLOR_FORCE` on, else
/// terminals have them.
pub fn colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    set("CLICOLOR").is_none_or(|value| value != "0") && std::io::stdout().is_terminal()
}

/// The text in its tone, if there are colours.
pub fn painted(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        Tone::Plain => "",
        Tone::Good => "32",
        Tone::Doubtful => "33",
        Tone::Bad => "31",
        Tone::Quiet => "2",
    };
    if !colours || code.is_empty() { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}
