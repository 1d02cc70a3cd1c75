//! What an exchange's session meant for the choice of its endpoint.

use tollgate_proxy::decide::session::Bond;
use tollgate_upstream::{Upstream, View};

use super::endpoints::tell_exclusion;

/// In words, after an endpoint was picked (or nobody).
pub(super) fn tell(upstream: &Upstream, view: &View, bond: Bond, picked: Option<u32>, at_ms: u64) -> String {
    let name = |endpoint: u32| upstream.endpoint(endpoint).map_or("(none)", |known| &**known.name());
    let preferred = match bond {
        Bond::Ignored(rejection) => return format!("its token counts as none: {rejection}"),
        Bond::Gone => {
            return "its session's endpoint is in the upstream no more, so the session moves".to_owned();
        }
        Bond::Failed(endpoint) => {
            return format!("its session's endpoint {} failed before, so the session moves", name(endpoint));
        }
        Bond::Unwanted(endpoint) => {
            return format!(
                "its session's endpoint {} gave an answer that is tried again, so this request alone goes elsewhere",
                name(endpoint)
            );
        }
        Bond::At(preferred) => preferred,
    };
    let endpoint = name(preferred.endpoint);
    if picked == Some(preferred.endpoint) {
        return format!("kept at {endpoint} by its session");
    }
    if preferred.is_there(view) {
        return format!("its session's endpoint {endpoint} is full, so this request alone goes elsewhere");
    }
    let mut why = match view.exclusion(preferred.endpoint) {
        Some(exclusion) => tell_exclusion(exclusion, at_ms),
        None => "not used".to_owned(),
    };
    if !preferred.though_drained {
        why += ", and the time is over that it keeps its sessions";
    }
    format!("its session's endpoint {endpoint} is gone ({why}), so the session moves")
}
