//! Faults on purpose.

use std::sync::Arc;

use tollgate_config::{self as config, Located};
use tollgate_policies::fault::{Abort, Delay, Fault, Settings};
use tollgate_policy::Policy;

use super::{Compiler, made};

impl Compiler<'_> {
    pub(super) fn fault(&mut self, at: Located<&config::Fault>) -> Option<Arc<dyn Policy>> {
        let fault = at.value;
        let settings = Settings {
            delay: fault.delay.as_ref().map(|delay| Delay {
                by_ms: delay.by.get().as_millis() as u64,
                jitter_ms: delay.jitter.map_or(0, |jitter| jitter.get().as_millis() as u64),
                share: delay.share.basis_points(),
            }),
            abort: fault.abort.as_ref().map(|abort| Abort {
                status: abort.status.value.get() as u16,
                share: abort.share.basis_points(),
            }),
            when: fault
                .when
                .as_ref()
                .map(|when| (when.header.to_string(), when.value.as_ref().map(|value| value.value.clone()))),
        };
        made(Fault::new(settings))
    }
}
