//! What an endpoint is besides its address: its tier, its zone, its labels.

use std::fmt;
use std::sync::Arc;

/// What an endpoint is besides its address. The same endpoint may have others after a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Its tier: those of 0 are used first.
    pub priority: u32,
    /// Where it runs, in the operator's words; `None` where that is not said.
    pub zone: Option<Arc<str>>,
    /// What subsets are chosen by.
    pub labels: Labels,
}

/// Names with values, each name once. Cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Labels {
    /// These labels; of those with the same name the last.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in labels {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        Self(sorted.into())
    }

    /// The labels, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `wanted` are among them, with the same values.
    pub fn include(&self, wanted: &Self) -> bool {
        wanted.0.iter().all(|label| self.0.binary_search(label).is_ok())
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Labels;

    #[test]
    fn labels_include_those_that_ask_for_less() {
        let labels = Labels::new([("version", "v2"), ("arch", "arm"), ("version", "v3")]);
        assert_eq!(labels.to_string(), "arch=arm,version=v3");
        assert!(labels.include(&Labels::new([("version", "v3")])) && labels.include(&Labels::default()));
        assert!(!labels.include(&Labels::new([("version", "v2")])));
        assert!(!labels.include(&Labels::new([("version", "v3"), ("x", "")])));
        assert!(Labels::default().is_empty() && !labels.is_empty());
    }
}
