//! `tollgate credential`: credentials of consumers, and what the document keeps of them. No secret is taken from the
//! command line, where other users of the machine can read it.

mod input;
mod made;

use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use tollgate_config::Name;

use self::made::Made;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a credential: what the caller gets, once, and what to write into the document
    #[command(subcommand)]
    New(New),
    /// Tell what to write into the document for a key or password that there is, read from standard input
    #[command(subcommand)]
    Hash(Hash),
}

/// A credential to make.
#[derive(Debug, clap::Subcommand)]
pub enum New {
    /// An API key of 256 random bits
    #[command(name = "api_key", alias = "api-key")]
    ApiKey {
        #[command(flatten)]
        shown: Shown,
    },
    /// A password, random unless it is read
    Password {
        #[command(flatten)]
        user: User,
        /// Read the password from the terminal, which does not show it, or from standard input
        #[arg(long)]
        stdin: bool,
        #[command(flatten)]
        shown: Shown,
    },
    /// A key that requests are signed with (RFC 9421)
    Signature {
        /// Which: a shared secret, or a pair of which Tollgate knows the public half only
        #[arg(long, value_enum, default_value_t)]
        algorithm: Algorithm,
        /// What the caller calls it, the parameter `keyid`; else a random one
        #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        key_id: Option<String>,
        /// Write the public key into this file, which must not be there yet
        #[arg(long, value_name = "FILE", default_value = "signer.pub.pem")]
        public_key: String,
        #[command(flatten)]
        shown: Shown,
    },
}

/// A credential that there is.
#[derive(Debug, clap::Subcommand)]
pub enum Hash {
    /// An API key
    #[command(name = "api_key", alias = "api-key")]
    ApiKey {
        #[command(flatten)]
        shown: Shown,
    },
    /// A password
    Password {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Whom it is for, and in which form it is told.
#[derive(Debug, clap::Args)]
pub struct Shown {
    /// The consumer that it is for
    #[arg(long, value_name = "NAME")]
    consumer: Option<Name>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Who logs in.
#[derive(Debug, clap::Args)]
pub struct User {
    /// The user; else the consumer's name
    #[arg(long, value_parser = user, required_unless_present = "consumer")]
    user: Option<String>,
}

/// The keys of signatures that are made here.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Algorithm {
    /// A shared secret
    #[default]
    HmacSha256,
    /// A pair of keys
    Ed25519,
}

/// Does it.
pub fn run(command: &Command) -> Result<ExitCode> {
    let (made, shown) = match command {
        Command::New(New::ApiKey { shown }) => (made::api_key()?, shown),
        Command::New(New::Password { user, stdin, shown }) => {
            (made::password(&user.of(shown), *stdin)?, shown)
        }
        Command::New(New::Signature { algorithm, key_id, public_key, shown }) => {
            let key_id = key_id.clone().map_or_else(made::key_id, Ok)?;
            let made = match algorithm {
                Algorithm::HmacSha256 => made::shared_secret(&key_id)?,
                Algorithm::Ed25519 => made::key_pair(&key_id, public_key)?,
            };
            (made, shown)
        }
        Command::Hash(Hash::ApiKey { shown }) => (made::known_api_key(&input::secret("API key")?)?, shown),
        Command::Hash(Hash::Password { user, shown }) => {
            (made::known_password(&user.of(shown), &input::secret("password")?)?, shown)
        }
    };
    let consumer = shown.consumer.as_ref().map(Name::as_str);
    super::print(&if shown.json { made.json(consumer) } else { made.text(consumer) })
}

impl User {
    fn of(&self, shown: &Shown) -> String {
        let consumer = || shown.consumer.as_ref().map_or_else(String::new, Name::to_string);
        self.user.clone().unwrap_or_else(consumer)
    }
}

/// RFC 7617 section 2.
fn user(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(':') || text.contains(char::is_control) {
        true => Err("a user has at least one sign, and no `:` or control characters".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// What was made, as it is told.
impl Made {
    fn text(&self, consumer: Option<&str>) -> String {
        let mut text = String::new();
        if let Some((what, secret)) = &self.secret {
            text.push_str(&format!(
                "For the caller, {what}; it is not shown again:\n\n{}\n\n",
                secret.trim_end()
            ));
        }
        if let Some(kept) = &self.kept {
            text.push_str(&format!("{kept}\n\n"));
        }
        text.push_str("For the document:\n\n");
        match consumer {
            Some(name) => text.push_str(&format!("consumers:\n  {name}:\n    credentials:\n      - ")),
            None => text.push_str("- "),
        }
        text.push_str(&self.credential.to_string());
        text.push('\n');
        text
    }

    fn json(&self, consumer: Option<&str>) -> String {
        let told = serde_json::json!({
            "consumer": consumer,
            "secret": self.secret.as_ref().map(|(_, secret)| secret),
            "credential": self.credential,
        });
        format!("{told:#}\n")
    }
}
