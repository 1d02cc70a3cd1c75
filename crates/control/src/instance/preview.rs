//! What a document would change, without putting it into force.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_config::{Bundle, Change};

use super::{Draft, Instance, Refused};
use crate::compile::Predecessor;
use crate::prepare::{Text, aside};
use crate::recorders::{self, Filter};
use crate::traffic::{self, Report};

/// What a document would change.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What it says otherwise than the document in force.
    pub changes: Vec<Change>,
    /// Findings that would not keep it from being used, for people.
    pub warnings: String,
    /// What would become of the recorded requests, if that was asked for.
    pub traffic: Option<Report>,
}

impl Instance {
    /// Compares a document with the one in force; with `traffic`, also decides all recorded requests on both.
    ///
    /// # Errors
    ///
    /// Where the document is not fit for use.
    pub async fn preview(&self, bundle: Bundle, traffic: bool) -> Result<Preview, Refused> {
        let draft = self.draft(Text::Bundle(Arc::new(bundle)), None, Predecessor::looking).await?;
        let Draft { ready, changes, warnings, .. } = draft;
        let mut preview = Preview { changes, warnings, traffic: None };
        if traffic {
            let (recorders, before) = (self.process.recorder(), self.process.snapshot());
            let samples: HashMap<u64, f64> =
                self.versions().iter().map(|version| (version.number, version.sample)).collect();
            let now = recorders::settings(&self.document()).sample;
            let work = move || {
                let recorded = recorders.last(usize::MAX, &Filter::default());
                let sample = |number: u64| samples.get(&number).copied().unwrap_or(now);
                traffic::compare(&recorded, &before, &ready.snapshot, &sample)
            };
            let failed = |error| Refused::failed(format!("cannot compare: {error}"));
            preview.traffic = Some(aside("compare", work).await.map_err(failed)?);
        }
        Ok(preview)
    }
}
