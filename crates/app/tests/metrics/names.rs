//! Every name that a dashboard, an alert or the documentation uses is one that the program exposes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Busy, repository};

/// A family as the program exposes it: its kind, and the labels that its series had.
struct Exposed {
    kind: String,
    labels: BTreeSet<String>,
    series: usize,
}

fn exposed(text: &str) -> BTreeMap<String, Exposed> {
    let mut families: BTreeMap<String, Exposed> = BTreeMap::new();
    let mut newest = String::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            let (kind, labels) = (kind.to_owned(), BTreeSet::new());
            assert!(
                families.insert(name.to_owned(), Exposed { kind, labels, series: 0 }).is_none(),
                "{line}"
            );
            newest = name.to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&newest), "{line} stands in the family {newest}");
            let family = families.get_mut(&newest).unwrap();
            family.series += 1;
            family.labels.extend(selectors(line).into_iter().flat_map(|(_, labels)| labels));
        }
    }
    families
}

/// The family that a series name belongs to.
fn family_of<'a>(name: &str, families: &'a BTreeMap<String, Exposed>) -> Option<&'a Exposed> {
    families.get(name).filter(|family| family.kind != "histogram").or_else(|| {
        let (suffix, base) =
            ["_bucket", "_sum", "_count"].iter().find_map(|s| Some((s, name.strip_suffix(s)?)))?;
        let kinds: &[&str] = if *suffix == "_bucket" { &["histogram"] } else { &["histogram", "summary"] };
        families.get(base).filter(|family| kinds.contains(&family.kind.as_str()))
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Names with a selector behind them, and the labels in it: `name{label="value"}`.
fn selectors(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('{') {
        let name: String = text[..at].chars().rev().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            continue;
        }
        let (mut labels, mut label, mut quoted) = (Vec::new(), String::new(), false);
        for c in text[at + 1..].chars() {
            match c {
                '"' => quoted = !quoted,
                _ if quoted => {}
                '}' => break,
                '=' | '!' if !label.is_empty() => labels.push(std::mem::take(&mut label)),
                c if is_word(c) => label.push(c),
                _ => label.clear(),
            }
        }
        found.push((name.chars().rev().collect(), labels));
    }
    found
}

/// Words that look like the name of one of our metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let ours = ["tollgate_", "http_server_", "http_client_", "process_"];
    let words = text.split(|c| !is_word(c));
    // The label `http_request_method` and its like do not begin like this.
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// Labels that results are grouped by.
fn grouping(expression: &str) -> Vec<&str> {
    let by = expression.split("by (").skip(1).chain(expression.split("on (").skip(1));
    let lists = by.map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

/// Holds a query against what is exposed.
fn assert_known(query: &str, families: &BTreeMap<String, Exposed>, place: &str) {
    const FROM_SCRAPE: [&str; 3] = ["job", "instance", "le"];
    for name in names(query) {
        assert!(family_of(name, families).is_some(), "{place}: no metric {name}");
    }
    for (name, labels) in selectors(query).into_iter().filter(|(name, _)| name != "up") {
        let family = family_of(&name, families).unwrap_or_else(|| panic!("{place}: no metric {name}"));
        for label in labels {
            let known = family.labels.contains(&label) || FROM_SCRAPE.contains(&label.as_str());
            assert!(known, "{place}: {name} has no label {label}");
        }
    }
    let used: Vec<&Exposed> = names(query).iter().filter_map(|name| family_of(name, families)).collect();
    for label in grouping(query).into_iter().filter(|label| !FROM_SCRAPE.contains(label)) {
        assert!(
            used.iter().any(|family| family.labels.contains(label)),
            "{place}: nothing has the label {label}"
        );
    }
}

/// All texts below keys of these names.
fn texts<'a>(value: &'a Value, keys: &[&str], found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => found.push(text),
                    _ => texts(value, keys, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, keys, found)),
        _ => {}
    }
}

/// The rows of the table in docs/metrics.md: name, type, labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].trim_end_matches('`').to_owned(), (cells[1].to_owned(), labels))
    });
    rows.collect()
}

#[test]
fn the_page_of_metrics_is_complete() {
    let (busy, documented) = (Busy::start(), documented());
    let exposed = exposed(&busy.metrics());
    assert!(exposed.keys().eq(documented.keys()), "{:?}\n{:?}", exposed.keys(), documented.keys());
    for (name, family) in &exposed {
        let (kind, labels) = &documented[name];
        assert_eq!(&family.kind, kind, "{name}");
        assert!(family.series > 0, "{name} has no series");
        let seen: BTreeSet<String> = family.labels.iter().filter(|label| *label != "le").cloned().collect();
        // Traffic of all kinds is there, so all labels are too; quantiles come with the durations.
        assert_eq!(&seen, labels, "{name}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let busy = Busy::start();
    let families = exposed(&busy.metrics());
    let text = std::fs::read_to_string(repository("ops/grafana/tollgate.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    texts(&dashboard, &["expr", "query"], &mut queries);
    let queries: Vec<&str> = queries.into_iter().filter(|query| !names(query).is_empty()).collect();
    assert!(queries.len() > 40, "{}", queries.len());
    queries.iter().for_each(|query| assert_known(query, &families, query));
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{panel}");
    }
}

#[test]
fn the_alerts_ask_for_what_there_is_and_each_is_tested() {
    let busy = Busy::start();
    let families = exposed(&busy.metrics());
    let alerts = std::fs::read_to_string(repository("ops/prometheus/alerts.yaml")).unwrap();
    let tests = std::fs::read_to_string(repository("ops/prometheus/alerts.test.yaml")).unwrap();
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule.lines().next().unwrap();
        assert_known(&rule.replace("{{", "").replace("}}", ""), &families, name);
        assert!(tests.contains(name), "{name} is not tested in alerts.test.yaml");
    }
    for (name, labels) in
        selectors(&tests).iter().filter(|(name, _)| !["up", "ALERTS"].contains(&name.as_str()))
    {
        let family = family_of(name, &families).unwrap_or_else(|| panic!("no metric {name}"));
        for label in labels.iter().filter(|label| !["job", "instance"].contains(&label.as_str())) {
            assert!(family.labels.contains(label), "{name} has no label {label}");
        }
    }
    // Reasons that alerts name are in the catalogue.
    for list in alerts.split("reason=~\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        for reason in list.split('|') {
            let series = format!("tollgate_exchanges_total{{reason=\"{reason}\",");
            assert!(busy.metrics().contains(&series), "no reason {reason}");
        }
    }
}
