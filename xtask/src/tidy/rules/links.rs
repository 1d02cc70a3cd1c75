//! Links in Markdown lead somewhere: to a file of the project, and to a heading in it.

use std::path::{Component, Path, PathBuf};

use super::Places;
use crate::tidy::Project;

/// Links of all Markdown files that lead to nothing. Addresses of the web are left alone.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for path in project.files.iter().filter(|path| path.ends_with(".md")) {
        let text = project.text(path)?;
        for (line, target) in links(&text) {
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere && !leads_somewhere(project, path, target)? {
                found.push((path.clone(), line, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
    Ok(found)
}

fn leads_somewhere(project: &Project, from: &str, target: &str) -> Result<bool, String> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { PathBuf::from(from) } else { relative(from, file) };
    let Some(file) = file.to_str() else { return Ok(false) };
    let is_folder = project.root.join(file).is_dir();
    if !is_folder && !project.files.iter().any(|known| known == file) {
        return Ok(false);
    }
    if heading.is_empty() || !file.ends_with(".md") {
        return Ok(true);
    }
    Ok(headings(&project.text(file)?).iter().any(|known| known == heading))
}

/// A path relative to the folder of the file that names it, without `.` and `..`.
fn relative(from: &str, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    for part in folder.join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

/// The targets of inline links, outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let is_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split(')').next().unwrap_or_default();
            if !is_code {
                found.push((number, target));
            }
        }
    }
    found
}

/// The anchors of all headings, made as code hosts make them.
fn headings(text: &str) -> Vec<String> {
    let lines = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    lines.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines outside fenced code.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut kept = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            kept.push((number + 1, line));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{headings, links, relative};
    use std::path::Path;

    #[test]
    fn links_in_code_are_none() {
        let text = "[a](b.md) and [c](../d.md#e)\n```\n[no](f)\n```\n`[no](g)` [h](#i)";
        assert_eq!(links(text), [(1, "b.md"), (1, "../d.md#e"), (5, "#i")]);
    }

    #[test]
    fn targets_are_relative_to_their_file() {
        assert_eq!(relative("docs/a.md", "../b.md"), Path::new("b.md"));
        assert_eq!(relative("a.md", "./docs/b.md"), Path::new("docs/b.md"));
    }

    #[test]
    fn headings_have_anchors() {
        assert_eq!(headings("# A `b` c-D, e!\n```\n# no\n```\n## F"), ["a-b-c-d-e", "f"]);
    }
}
