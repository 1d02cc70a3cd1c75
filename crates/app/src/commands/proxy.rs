//! `tollgate proxy`: forwarding without a document.

use std::process::ExitCode;

use anyhow::Result;
use tollgate_control::prepare::Text;

use crate::serving::{self, Manner};

/// What to forward.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen, such as :8080 or 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS", required = true, env = "TOLLGATE_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// Where to forward to, such as 127.0.0.1:3000; several share the load
    #[arg(long, value_name = "HOST:PORT", required = true, env = "TOLLGATE_TO", value_delimiter = ',')]
    to: Vec<String>,
    /// Print the document that this stands for, and do nothing
    #[arg(long)]
    print: bool,
}

/// Runs until a signal ends the process.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let text = tollgate_config::forwarding(&arguments.listen, &arguments.to);
    if arguments.print {
        return super::print(&text);
    }
    serving::run(Text::Inline("command line".to_owned(), text), &Manner::default(), |_| {})
}
