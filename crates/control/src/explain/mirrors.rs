//! Which mirrors a request is copied to.

use tollgate_proxy::Snapshot;

use super::{Explanation, upstream_name};

/// Tells of each mirror of a route whether this seed has a request copied to it.
pub(super) fn tell(snapshot: &Snapshot, route: u32, seed: u64, told: &mut Explanation) {
    let route = snapshot.routes.get(route as usize);
    let mirrors = route.and_then(|route| route.settings.mirrors.as_deref()).unwrap_or_default();
    told.mirrors = mirrors
        .iter()
        .enumerate()
        .map(|(place, mirror)| {
            let (whole, part) = (mirror.share / 100, mirror.share % 100);
            let part = if part == 0 { String::new() } else { format!(".{part:02}") };
            let what = if mirror.takes(place, seed) { "gets a copy" } else { "gets no copy by this seed" };
            format!("{} {what}, its share is {whole}{part}%", upstream_name(snapshot, mirror.upstream))
        })
        .collect();
}
