//! Operating it: another document while it runs, by the verbs.

mod applying;
mod back;
mod comparing;
mod reloading;
mod traffic;
mod trials;

use std::path::PathBuf;

use tollgate_testkit::{Output, Tollgate};

use crate::PRELUDE;
use crate::verbs::verb;

/// A document whose only route answers with a body.
fn saying(body: &str) -> String {
    format!("{PRELUDE}routes: [{{ name: all, path: /, respond: {{ status: 200, body: {body} }} }}]\n")
}

/// Writes a file into the program's directory.
fn write(tollgate: &Tollgate, name: &str, text: &str) -> PathBuf {
    let path = tollgate.directory().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs a verb on a document of this text.
fn verb_with(tollgate: &Tollgate, before: &[&str], text: &str, after: &[&str]) -> Output {
    let path = write(tollgate, "other.yaml", text);
    verb(tollgate, &[before, &[path.to_str().unwrap()], after].concat())
}

fn apply(tollgate: &Tollgate, text: &str, after: &[&str]) -> Output {
    verb_with(tollgate, &["apply"], text, after)
}

#[track_caller]
fn assert_done(output: &Output, says: &str) {
    assert!(output.code == Some(0) && output.stdout.contains(says), "no {says:?} in {output:?}");
}

/// That it was refused with an exit code, and why.
#[track_caller]
fn assert_refused(output: &Output, code: i32, says: &str) {
    assert!(output.code == Some(code) && output.stderr.contains(says), "no {says:?} in {output:?}");
}
