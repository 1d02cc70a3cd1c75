//! Nothing in the project knows whose machine it was written on.

use super::Places;
use crate::tidy::Project;

/// How paths below a person's folder or a checkout's begin, in parts so that they do not stand here.
const BEGINNINGS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Such paths in any file that is text.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for path in &project.files {
        let Ok(text) = project.text(path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(beginning) = BEGINNINGS.iter().find(|beginning| names(line, beginning)) {
                let message = format!("a path below `{beginning}` is of one machine only");
                found.push((path.clone(), number + 1, message));
            }
        }
    }
    Ok(found)
}

/// Whether an absolute path begins so: not in the middle of a longer path or a URL.
fn names(line: &str, beginning: &str) -> bool {
    line.match_indices(beginning).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_path_is_absolute_where_it_begins() {
        for line in ["/a/x", "see /a/x", "\"/a/x\"", "file:///a/x", "path=/a/x"] {
            assert!(names(line, "/a/"), "{line}");
        }
        for line in ["https://b.example/a/x", "./a/x", "b/a/x", "${B}/a/x", "/ab/x"] {
            assert!(!names(line, "/a/"), "{line}");
        }
    }
}
