//! What mirrors get, and how their answers compare.

use super::Writer;
use crate::families;

/// What is counted of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MirrorState {
    /// The route's name.
    pub route: String,
    /// The name of the mirror's upstream.
    pub upstream: String,
    /// What became of copies: each outcome with its count.
    pub mirrored: Vec<(&'static str, u64)>,
    /// What comparisons came to; empty where nothing is compared.
    pub compared: Vec<(&'static str, u64)>,
}

/// Writes what mirrors got.
pub fn write_mirrors(writer: &mut Writer, mirrors: &[MirrorState]) {
    let families = [(&families::MIRRORED, "outcome"), (&families::MIRROR_COMPARED, "result")];
    for (family, label) in families {
        writer.family(family);
        for mirror in mirrors {
            let counts = if label == "outcome" { &mirror.mirrored } else { &mirror.compared };
            for (word, count) in counts {
                let names = [("route", mirror.route.as_str()), ("upstream", mirror.upstream.as_str())];
                writer.series(family, &[names[0], names[1], (label, *word)], *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MirrorState, write_mirrors};
    use crate::exposition::Writer;

    #[test]
    fn copies_and_comparisons_have_their_series() {
        let state = MirrorState {
            route: "api".to_owned(),
            upstream: "next".to_owned(),
            mirrored: vec![("answered", 2)],
            compared: vec![("same", 1)],
        };
        let mut writer = Writer::default();
        write_mirrors(&mut writer, &[state]);
        let text = writer.finish();
        for line in [
            "tollgate_mirrored_total{route=\"api\",upstream=\"next\",outcome=\"answered\"} 2",
            "tollgate_mirror_compared_total{route=\"api\",upstream=\"next\",result=\"same\"} 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{text}");
        }
    }
}
