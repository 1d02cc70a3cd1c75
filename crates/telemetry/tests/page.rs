//! The table in docs/metrics.md is made from the list of families.

use std::fmt::Write;

use tollgate_telemetry::families::{ALL, Family};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
const BEGIN: &str =
    "<!-- Made from the code from here on: `TOLLGATE_GOLDEN=write cargo test -p tollgate-telemetry`. -->\n";
const END: &str = "<!-- Made from the code up to here. -->\n";

fn table() -> String {
    let mut table = String::from("\n| metric | type | labels | |\n| --- | --- | --- | --- |\n");
    for Family { name, kind, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}` | {} | {} | {help} |", kind.label(), labels.join(", ")).unwrap();
    }
    table.push('\n');
    table
}

#[test]
fn the_page_of_metrics_is_current() {
    let kept = std::fs::read_to_string(PATH).unwrap();
    let (before, rest) = kept.split_once(BEGIN).expect("docs/metrics.md has lost the line before its table");
    let (_, after) = rest.split_once(END).expect("docs/metrics.md has lost the line behind its table");
    let page = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(PATH, page).unwrap();
    } else {
        assert!(
            kept == page,
            "docs/metrics.md is not what the code says; see the page for how to write it anew"
        );
    }
}
