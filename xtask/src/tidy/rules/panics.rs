//! No `unwrap` and no `expect` in the product: what cannot happen is written so that it cannot.

use super::Places;
use crate::tidy::{Code, Project};

const CALLS: &[&[&str]] = &[&[".", "unwrap", "(", ")"], &[".", "expect", "("]];

/// Such calls outside tests.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for source in project.product() {
        let code = Code::of(&source.text);
        for call in CALLS {
            let message = format!("`{}` may panic: handle the other case", call[1]);
            let lines = code.places(call).map(|at| code.tokens[at].line);
            found.extend(lines.map(|line| (source.path.clone(), line, message.clone())));
        }
    }
    Ok(found)
}
