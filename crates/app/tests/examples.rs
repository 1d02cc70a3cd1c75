//! The documents in `examples/` are right: `tollgate check` finds nothing in them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
}

#[test]
fn each_example_passes_the_check_without_a_warning() {
    let paths = examples();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate")).arg("check").arg(&path).output().unwrap();
        let (out, findings) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {}\n{findings}", path.display(), output.status);
        assert!(findings.is_empty() && !out.contains("warning"), "{}:\n{findings}{out}", path.display());
    }
}

#[test]
fn each_example_begins_by_saying_what_it_is_for() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{}", path.display());
    }
}
