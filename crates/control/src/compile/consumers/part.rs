//! The consumers of one text: the document's own, or a file's.

use std::fmt;
use std::sync::Arc;

use tollgate_config::{self as config, Diagnostics, Files, Name, Origin, Table};
use tollgate_policy::{Consumer, CredentialKind};

use super::credentials;

/// The consumers of one text, as small as they can be kept: they are put together with others again whenever a
/// file changes.
#[derive(Default)]
pub(super) struct Part {
    pub(super) entries: Vec<Entry>,
}

/// A consumer.
pub(super) struct Entry {
    pub(super) consumer: Arc<Consumer>,
    pub(super) credentials: Box<[Given]>,
    /// Where its name stands.
    pub(super) origin: Origin,
}

/// A credential of a consumer.
pub(super) struct Given {
    pub(super) kind: CredentialKind,
    /// What it is found by.
    pub(super) value: Box<[u8]>,
    /// What it is proved by.
    pub(super) secret: Option<Arc<str>>,
    pub(super) origin: Origin,
}

// It holds secrets.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} consumers)", self.entries.len())
    }
}

impl Part {
    /// Of decoded consumers. Credentials that cannot be used are left out.
    pub(super) fn of(
        table: &Table<Name, config::Consumer>,
        files: &dyn Files,
        found: &mut Diagnostics,
    ) -> Self {
        let mut entries = Vec::with_capacity(table.len());
        for (name, consumer) in table.iter() {
            let mut given = Vec::with_capacity(consumer.credentials.len());
            for credential in consumer.credentials.iter() {
                let origin = credential.origin;
                match credentials::read(&credential.value, files) {
                    Ok((kind, value, secret)) => given.push(Given { kind, value, secret, origin }),
                    Err(problem) => found.push(problem.finding(origin)),
                }
            }
            entries.push(Entry {
                consumer: Arc::new(self::consumer(name.as_str(), consumer)),
                credentials: given.into(),
                origin: name.origin,
            });
        }
        Self { entries }
    }
}

fn consumer(name: &str, consumer: &config::Consumer) -> Consumer {
    let label = |(name, value): &(config::Located<Name>, config::FieldValue)| {
        (Box::from(name.as_str()), Box::from(value.as_str()))
    };
    let mut labels: Vec<(Box<str>, Box<str>)> = consumer.labels.iter().map(label).collect();
    labels.sort();
    Consumer {
        name: name.into(),
        groups: consumer.groups.iter().map(|group| Box::from(group.as_str())).collect(),
        labels: labels.into(),
    }
}
