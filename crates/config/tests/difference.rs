//! What differs between documents: goldens `golden/difference/NAME.{old,new}.yaml` beside `NAME.expected`, and
//! properties over documents made at random.

use std::path::Path;

use proptest::prelude::*;
use tollgate_config::{ChangeKind, Document, MemoryFiles, SubjectKind, difference, parse_str, render};

fn files() -> MemoryFiles {
    let mut files = MemoryFiles::default();
    for (name, content) in [("one", "hunter2-one"), ("same", "hunter2-one"), ("two", "hunter2-two")] {
        files.insert(name, content);
    }
    files
}

fn document(name: &str, text: &str) -> Document {
    let loaded = parse_str(name, text, &files(), &|_| None);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    loaded.document.unwrap_or_else(|| panic!("{findings}"))
}

fn told(old: &Document, new: &Document) -> String {
    difference(old, new).iter().map(|change| format!("{change}\n")).collect()
}

#[test]
fn differences_are_told_as_expected() {
    let folder = Path::new("tests/golden/difference");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".old.yaml") else { continue };
        seen += 1;
        let [old, new] = ["old", "new"].map(|age| {
            let name = format!("{name}.{age}.yaml");
            document(&name, &std::fs::read_to_string(folder.join(&name)).unwrap())
        });
        let json: Vec<_> = difference(&old, &new).iter().map(tollgate_config::Change::to_json).collect();
        let actual =
            format!("{}--- back\n{}--- json\n{}\n", told(&old, &new), told(&new, &old), lines(&json));
        assert!(!actual.contains("hunter2"), "{actual}");
        let path = folder.join(format!("{name}.expected"));
        if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(expected == actual, "{} differs:\n{actual}", path.display());
        assert_eq!(told(&old, &old) + &told(&new, &new), "");
    }
    assert!(seen >= 3);
}

fn lines(json: &[serde_json::Value]) -> String {
    json.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A document as the choices that make it.
#[derive(Clone, Debug)]
struct Made {
    fields: u32,
    balance: &'static str,
    token: String,
    weights: Vec<u32>,
    attempts: Option<u32>,
    routes: Vec<(u32, bool, u32)>,
}

impl Made {
    fn text(&self) -> String {
        let endpoints = self.weights.iter().enumerate();
        let endpoints = endpoints.map(|(at, weight)| format!("{{ address: 'e{at}:80', weight: {weight} }}"));
        let retry = self.attempts.map_or("{}".to_owned(), |attempts| format!("{{ attempts: {attempts} }}"));
        let mut text = format!(
            "version: 1\nlisten: ':80'\nlimits: {{ fields: {} }}\nupstreams:\n  a:\n    endpoints: [{}]\n    balance: {}\n    retry: {retry}\n    health: {{ http: {{ path: /, headers: {{ X-T: 'planted-{}' }} }} }}\nroutes:\n  - {{ path: /, to: a }}\n",
            self.fields,
            endpoints.collect::<Vec<_>>().join(", "),
            self.balance,
            self.token,
        );
        for (at, (path, named, status)) in self.routes.iter().enumerate() {
            let name = if *named { format!("name: r{path}-{at}, ") } else { String::new() };
            text.push_str(&format!("  - {{ {name}path: /p{path}, respond: {status} }}\n"));
        }
        text
    }
}

fn made() -> impl Strategy<Value = Made> {
    let routes = prop::collection::vec((0..4u32, any::<bool>(), 200..203u32), 0..6);
    let weights = prop::collection::vec(1..3u32, 1..4);
    let attempts = prop::option::of(1..4u32);
    let balance = prop::sample::select(vec!["random", "round_robin"]);
    (1..4u32, balance, "[ab]", weights, attempts, routes).prop_map(
        |(fields, balance, token, weights, attempts, routes)| Made {
            fields,
            balance,
            token,
            weights,
            attempts,
            routes,
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_told_of_equal_documents_and_something_of_others(a in made(), b in made()) {
        let (old, new) = (document("t.yaml", &a.text()), document("t.yaml", &b.text()));
        prop_assert_eq!(told(&old, &old), "");
        let text = told(&old, &new);
        prop_assert!(!text.contains("planted"), "{}", text);
        let json = lines(&difference(&old, &new).iter().map(|change| change.to_json()).collect::<Vec<_>>());
        prop_assert!(!json.contains("planted"), "{}", json);
        // Of one path, the order decides; of several, only the set of routes counts.
        let meaning = |made: &Made| {
            let mut routes: Vec<_> = made.routes.iter().enumerate().collect();
            routes.sort_by_key(|(_, (path, ..))| *path);
            let name = |at: usize, named: bool| named.then_some(at);
            let routes: Vec<_> =
                routes.iter().map(|(at, (path, named, status))| (*path, name(*at, *named), *status)).collect();
            (Made { routes: Vec::new(), ..made.clone() }.text(), routes)
        };
        prop_assert_eq!(text.is_empty(), meaning(&a) == meaning(&b), "{}", text);
        // What is new one way is gone the other way.
        let count = |changes: &[tollgate_config::Change], kind| changes.iter().filter(|c| c.kind == kind).count();
        let (there, back) = (difference(&old, &new), difference(&new, &old));
        prop_assert_eq!(count(&there, ChangeKind::Added), count(&back, ChangeKind::Removed));
    }
}

#[test]
fn many_routes_are_compared_without_comparing_all_pairs() {
    let text = |shift: usize| {
        let mut text = "version: 1\nlisten: ':80'\nroutes:\n".to_owned();
        for number in 0..20_000 {
            let number = (number + shift) % 20_000;
            text.push_str(&format!("- {{ path: /p{number}, to: 'h:{}' }}\n", number % 7 + shift));
        }
        text
    };
    let (old, new) = (document("old.yaml", &text(1)), document("new.yaml", &text(2)));
    let changes = difference(&old, &new);
    assert_eq!(changes.len(), 20_000);
    assert!(changes.iter().all(|c| c.subject.kind == SubjectKind::Route && c.what[0].key == "to"));
    let mut fewer = text(1);
    fewer.replace_range(fewer.find("- {").unwrap()..fewer.find("/p2,").unwrap(), "- { path: ");
    let changes = difference(&old, &document("fewer.yaml", &fewer));
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["- route /p1 (to http://h:2)"]);
}

#[test]
fn what_cannot_change_while_running_is_marked() {
    let text = |extra: &str| format!("version: 1\nlisten: ':80'\nroutes: [{{ to: 'a:1' }}]\n{extra}");
    let of = |old: &str, new: &str| difference(&document("a", &text(old)), &document("b", &text(new)));
    assert!(of("", "workers: 3").iter().all(tollgate_config::Change::needs_restart));
    assert!(of("", "admin: { socket: /s }")[0].needs_restart());
    assert!(!of("", "limits: { fields: 3 }")[0].needs_restart());
}
