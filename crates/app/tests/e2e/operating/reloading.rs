//! `tollgate reload`, and what `status` tells of it.

use rustix::process::Signal;
use serde_json::json;
use tollgate_testkit::Launch;

use super::{assert_done, assert_refused, saying, write};
use crate::verbs::{json_of, verb};
use crate::{PRELUDE, PROGRAM, get};

#[test]
fn a_good_one_is_put_into_force_and_its_changes_are_told() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).text(), "one");
    assert_done(&verb(&tollgate, &["reload"]), "nothing changed: document 1 stays in force");
    write(&tollgate, "tollgate.yaml", &saying("two"));
    let output = verb(&tollgate, &["reload"]);
    assert_done(&output, "document 2 is in force\n  ~ route all: ");
    assert_eq!(client.request(get("/")).text(), "two");
    write(&tollgate, "tollgate.yaml", &saying("three"));
    let told = json_of(&verb(&tollgate, &["reload", "--json"]));
    assert_eq!((&told["number"], &told["unchanged"]), (&json!(3), &json!(false)));
    assert_eq!(told["changes"][0]["change"]["subject"]["name"], "all");
}

#[test]
fn a_bad_one_is_refused_with_its_lines_and_the_old_one_goes_on() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    write(&tollgate, "tollgate.yaml", &saying("two").replace("respond", "responds"));
    let output = verb(&tollgate, &["reload"]);
    assert_refused(&output, 3, "tollgate.yaml:5:32");
    assert!(output.stderr.contains("responds: {") && output.stderr.contains("did you mean"), "{output:?}");
    let last = output.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("tollgate: refused, what runs goes on as it was: the document is not"),
        "{last}"
    );
    assert_eq!(output.stdout, "");
    // For programs the findings are apart from the problem, and their lines are lines.
    let output = verb(&tollgate, &["reload", "--json"]);
    let told = json_of(&output);
    assert_eq!((output.code, &told["status"]), (Some(3), &json!(422)));
    assert!(!told["detail"].as_str().unwrap().contains('\n'), "{told}");
    assert!(told["report"].as_str().unwrap().contains("\n5 | routes"), "{told}");
    assert_eq!(tollgate.request(get("/")).text(), "one");

    // Number, age, source and the last problem.
    let output = verb(&tollgate, &["status"]);
    assert_eq!(output.code, Some(1));
    for part in
        ["document 1 from ", "tollgate.yaml, for ", "! the last reload (", "tollgate.yaml:5:10: one of"]
    {
        assert!(output.stdout.contains(part), "no {part:?} in {output:?}");
    }
    write(&tollgate, "tollgate.yaml", &saying("three"));
    assert_done(&verb(&tollgate, &["reload"]), "document 2 is in force");
    assert_eq!(verb(&tollgate, &["status"]).code, Some(0));
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let arguments = ["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"];
    let tollgate = Launch::with_arguments(PROGRAM, &arguments).start();
    assert_refused(&verb(&tollgate, &["reload"]), 1, "came from no file");
}

#[test]
fn what_needs_a_restart_is_said_at_the_change_and_in_the_status_until_it_is_undone() {
    let tollgate = Launch::new(PROGRAM, &saying("one")).start();
    let more = saying("one").replace("workers: 1", "workers: 3\nadmin: { socket: /run/elsewhere.sock }");
    assert!(tollgate.reload(&more).contains("document 2 is in force"));
    tollgate.stderr_line("! workers 1 -> 3 (takes effect at the next start");
    tollgate.stderr_line("! admin.socket unset -> ");
    let status = verb(&tollgate, &["status"]);
    assert_done(&status, "1 worker\n");
    assert_done(&status, "  ! workers 1 -> 3 (takes effect at the next start");
    // Another change does not make it forgotten.
    assert!(tollgate.reload(&more.replace("body: one", "body: two")).contains("document 3"));
    assert_done(&verb(&tollgate, &["status"]), "  ! workers 1 -> 3 (");
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(told["config"]["needs_restart"].as_array().unwrap().len(), 2, "{told}");
    assert!(tollgate.reload(&saying("two")).contains("document 4"));
    let told = json_of(&verb(&tollgate, &["status", "--json"]));
    assert_eq!(told["config"]["needs_restart"], json!([]));
}

#[test]
fn the_document_that_runs_is_shown_whatever_its_file_says() {
    let text = format!(
        "{PRELUDE}upstreams: {{ a: [\"127.0.0.1:9\"] }}\nroutes: [{{ name: all, path: /, to: a }}]\n"
    );
    let tollgate = Launch::new(PROGRAM, &text).start();
    write(&tollgate, "tollgate.yaml", "nonsense");
    let output = verb(&tollgate, &["config", "show", "--running", "--changed", "--origin"]);
    assert_done(&output, "a:");
    assert!(output.stdout.contains("tollgate.yaml:6") && !output.stdout.contains("# default"), "{output:?}");
    let told = json_of(&verb(&tollgate, &["config", "show", "--running", "--json"]));
    assert!(told.as_array().is_some_and(|values| values.len() > 20), "{told}");
    // It can be run as it is shown.
    let shown = verb(&tollgate, &["config", "show", "--running"]).stdout;
    tollgate.signal(Signal::HUP);
    tollgate.stderr_line("reload refused");
    assert_done(&super::verb_with(&tollgate, &["diff"], &shown, &[]), "the documents say the same");
}
