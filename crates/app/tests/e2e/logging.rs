//! Access logs: forms, conditions, sampling, what is hidden, rotation, and readers that do not read.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use serde_json::Value;
use tollgate_testkit::{Launch, Origin, PATIENCE, Tollgate};

use crate::{PROGRAM, get};

const ROUTES: &str = "routes:\n  - { name: all, path: /, to: \"http://{origin}\", retry: none }\n  \
                      - { name: here, path: /here, respond: 204 }\n  \
                      - { name: moved, path: /moved, redirect: { path: { full: /new } } }\n";

/// A program with these logs (files in its own directory).
fn logging(logs: &str, origin: &Origin) -> Tollgate {
    let document = format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\nworkers: 1\nadmin: {{ listen: \"127.0.0.1:0\" }}\naccess_log: {logs}\n{ROUTES}"
    );
    Launch::new(PROGRAM, &document).with("origin", origin.address()).start()
}

/// Ends the program, and gives the lines of one of its logs.
fn lines(tollgate: &mut Tollgate, name: &str) -> Vec<String> {
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());
    let text = fs::read_to_string(tollgate.directory().join(name)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn passwords_in_targets_and_hosts_that_are_refused_are_not_logged() {
    let origin = Origin::saying("hello");
    let mut tollgate = logging("{ file: \"{directory}/json\" }", &origin);
    for (target, host) in
        [("http://joe:s3cret@a/b", "a"), ("http://joe:s3cret@a/%zz", "a"), ("/c", "joe:s3cret@a")]
    {
        let response = tollgate.request(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, 400);
    }
    let lines = lines(&mut tollgate, "json");
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.contains("***@a") && !line.contains("s3cret")), "{lines:?}");
}

#[test]
fn each_form_is_written_as_its_readers_expect() {
    let origin = Origin::saying("hello");
    let mut tollgate = logging(
        "\n  - { file: \"{directory}/common\", format: common }\n  - { file: \"{directory}/combined\", format: combined, query: names }\n  \
         - { file: \"{directory}/pretty\", format: pretty }\n  \
         - { file: \"{directory}/template\", format: { template: \"{method} {path} {status} {route} {end}\" }, query: keep }\n  \
         - { file: \"{directory}/json\" }",
        &origin,
    );
    tollgate.request("GET /a?token=s3cret HTTP/1.1\r\nHost: a\r\nUser-Agent: it's \"me\"\r\n\r\n");
    tollgate.request("\u{1}\r\n\r\n");
    let time = "[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} \\+0000";
    for (file, first, second) in [
        (
            "common",
            format!("^127\\.0\\.0\\.1 - - \\[{time}\\] \"GET /a HTTP/1\\.1\" 200 5$"),
            format!("^127\\.0\\.0\\.1 - - \\[{time}\\] \"-\" 400 -$"),
        ),
        (
            "combined",
            format!(
                "\\[{time}\\] \"GET /a\\?token=\\*\\*\\* HTTP/1\\.1\" 200 5 \"-\" \"it's \\\\\"me\\\\\"\"$"
            ),
            format!("\\[{time}\\] \"-\" 400 - \"-\" \"-\"$"),
        ),
        (
            "pretty",
            "^[0-9:.]{12} 200 GET a/a [0-9.]+[mu]?s 5B from 127\\.0\\.0\\.1 route all to .* at .*$"
                .to_owned(),
            "^[0-9:.]{12} 400 - [0-9.]+[mu]?s 0B from 127\\.0\\.0\\.1 bad_method \\(client\\)$".to_owned(),
        ),
        ("template", "^GET /a 200 all nobody$".to_owned(), "^- - 400 - client$".to_owned()),
        ("json", "\"url\\.path\":\"/a\"".to_owned(), "\"reason\":\"bad_method\"".to_owned()),
    ] {
        let path = tollgate.directory().join(file);
        let began = Instant::now();
        let text = loop {
            let text = fs::read_to_string(&path).unwrap();
            if text.lines().count() == 2 {
                break text;
            }
            assert!(began.elapsed() < PATIENCE, "{file}: {text}");
            std::thread::yield_now();
        };
        for (pattern, line) in [first, second].iter().zip(text.lines()) {
            assert!(matches(pattern, line), "{file}: {line:?} is not {pattern}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
}

/// Whether a line is as a pattern says.
fn matches(pattern: &str, line: &str) -> bool {
    use regex_automata::meta::Regex;
    Regex::new(pattern).unwrap().is_match(line)
}

#[test]
fn only_what_is_asked_for_is_logged() {
    let origin = Origin::saying("ok");
    for (logs, wanted) in [
        ("when: { status: 4xx }", vec!["/nothing-here/%00"]),
        ("when: { status: [300-399, 204] }", vec!["/here", "/moved"]),
        ("when: { reason: [redirect, bad_path] }", vec!["/moved", "/nothing-here/%00"]),
        ("when: { side: nobody, route: [all, moved] }", vec!["/a", "/moved"]),
        ("when: { side: client, route: all }", vec![]),
        ("when: [{ status: 204 }, { route: moved }]", vec!["/here", "/moved"]),
        ("when: { slower: 1h }", vec![]),
        ("sample: 0%", vec!["/nothing-here/%00"]),
        ("sample: 0%, when: { status: 204 }", vec![]),
        ("sample: 100%", vec!["/a", "/here", "/moved", "/nothing-here/%00"]),
    ] {
        let log = format!(
            "{{ file: \"{{directory}}/log\", format: {{ template: \"{{request_header.x-path}}\" }}, {logs} }}"
        );
        let mut tollgate = logging(&log, &origin);
        for path in ["/a", "/here", "/moved", "/nothing-here/%00"] {
            tollgate.request(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Path: {path}\r\n\r\n"));
        }
        let mut found = lines(&mut tollgate, "log");
        found.sort();
        assert_eq!(found, wanted, "{logs}");
    }
}

#[test]
fn listed_headers_are_logged_and_secrets_are_not() {
    let origin = Origin::start(|connection| {
        while connection.request().is_some() {
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Team: blue\r\nSet-Cookie: id=s3cret\r\n\
                 Location: /next?code=s3cret\r\n\r\n",
            );
        }
    });
    let mut tollgate = logging(
        "{ file: \"{directory}/log\", request_headers: [User-Agent, Authorization, Cookie, X-Shop-Token, X-None], \
         response_headers: [x-team, Set-Cookie, Location, Server] }",
        &origin,
    );
    let head = "Host: a\r\nUser-Agent: curl/8\r\nAuthorization: Bearer s3cret\r\nCookie: id=s3cret\r\n\
                X-Shop-Token: s3cret\r\n\r\n";
    tollgate.request(format!("GET /a?password=s3cret HTTP/1.1\r\n{head}"));
    tollgate.request(format!("GET /moved HTTP/1.1\r\n{head}"));
    let lines = lines(&mut tollgate, "log");
    assert_eq!(lines.len(), 2);
    assert!(!lines.concat().contains("s3cret"), "{lines:?}");
    let [forwarded, moved] = [0, 1].map(|number| serde_json::from_str::<Value>(&lines[number]).unwrap());
    for (key, value) in [
        ("http.request.header.user-agent", "curl/8"),
        ("http.request.header.authorization", "***"),
        ("http.request.header.cookie", "***"),
        ("http.request.header.x-shop-token", "***"),
        ("http.response.header.x-team", "blue"),
        ("http.response.header.set-cookie", "***"),
        ("http.response.header.location", "/next"),
    ] {
        assert_eq!(forwarded[key], value, "{key} in {forwarded}");
    }
    assert_eq!(forwarded.get("http.request.header.x-none"), None);
    assert_eq!(forwarded.get("url.query"), None);
    assert_eq!(moved["http.response.header.server"], "tollgate");
    let location = format!("http://a:{}/new", tollgate.address().port());
    assert_eq!(moved["http.response.header.location"], location);
}

#[test]
fn rotation_under_load_loses_no_line() {
    const CLIENTS: usize = 3;
    const ROTATIONS: usize = 10;
    let origin = Origin::saying("ok");
    let mut tollgate = logging("{ file: \"{directory}/log\" }", &origin);
    let (enough, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let log = tollgate.directory().join("log");
    let mut files = vec![log.clone()];
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = tollgate.connect();
                while !enough.load(Ordering::Relaxed) {
                    assert_eq!(client.request(get("/a")).status, 200);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for rotation in 0..ROTATIONS {
            let old = log.with_extension(rotation.to_string());
            // Something is in each of them.
            wait_for(|| fs::metadata(&log).is_ok_and(|found| found.len() > 0));
            fs::rename(&log, &old).unwrap();
            files.push(old);
            tollgate.signal(Signal::USR1);
            wait_for(|| log.exists());
        }
        enough.store(true, Ordering::Relaxed);
    });
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
    let mut lines = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{} ends within a line", file.display());
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            lines += 1;
        }
    }
    assert_eq!(lines, sent.into_inner());
    assert!(tollgate.stderr().contains("is opened anew"), "{}", tollgate.stderr());
}

fn wait_for(mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

/// A named pipe with a reader that does not read yet.
fn pipe(path: &Path) -> fs::File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap()
}

#[test]
fn a_reader_that_does_not_read_costs_counted_lines_and_no_request() {
    let origin = Origin::saying("ok");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let unread = pipe(&path);
    let mut tollgate = logging(&format!("{{ file: {} }}", path.display()), &origin);
    let long = "x".repeat(7_000);
    let mut client = tollgate.connect();
    let mut sent = 0;
    let began = Instant::now();
    // More than what may wait for the writer.
    while sent % 500 > 0 || tollgate.metric("tollgate_access_log_lost_total") == 0.0 {
        assert_eq!(client.request(get(&format!("/{long}"))).status, 200);
        sent += 1;
        assert!(began.elapsed() < 4 * PATIENCE, "{sent} requests and nothing is lost");
    }
    let memory = tollgate.memory_kib().1;
    // What waited is read now, and what follows.
    rustix::fs::fcntl_setfl(&unread, OFlags::empty()).unwrap();
    let (seen, lines) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
    let reader = std::thread::spawn({
        let (seen, lines) = (seen.clone(), lines.clone());
        move || {
            for line in BufReader::new(unread).lines() {
                *seen.lock().unwrap() = line.unwrap();
                lines.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    // There is room again once a line comes through; then nothing before the last one is on its way.
    for path in ["/here", "/moved"] {
        wait_for(|| {
            assert!(client.request(get(path)).status < 400);
            sent += 1;
            seen.lock().unwrap().contains(path)
        });
    }
    let lost = tollgate.metric("tollgate_access_log_lost_total");
    drop(client);
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
    reader.join().unwrap();
    assert_eq!(lines.load(Ordering::Relaxed) + lost as usize, sent);
    assert!(memory < 200 * 1024, "{memory} KiB");
}

#[test]
fn a_log_that_cannot_be_opened_or_written_is_told() {
    let origin = Origin::saying("ok");
    // A pipe whose reader has gone: everything is lost, told once, and counted.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let reader = pipe(&path);
    let tollgate = logging(&format!("{{ file: {} }}", path.display()), &origin);
    drop(reader);
    for number in 1..=20 {
        assert_eq!(tollgate.request(get("/a")).status, 200);
        wait_for(|| tollgate.metric("tollgate_access_log_lost_total") == f64::from(number));
    }
    let told = tollgate.stderr().matches("cannot write the access log").count();
    assert_eq!(told, 1, "{}", tollgate.stderr());
}
