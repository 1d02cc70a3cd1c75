//! A document that is reloaded when its files change, in whichever way they are changed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tollgate_testkit::{Launch, Tollgate};

use crate::{PROGRAM, get};

fn text(body: &str) -> String {
    format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nworkers: 1\ninclude: [\"conf.d/*.yaml\"]\n\
         routes:\n  - {{ path: /, respond: {{ status: 200, body: {body} }} }}\n"
    )
}

fn watching(text: &str) -> Tollgate {
    Launch::new(PROGRAM, text).environment("TOLLGATE_WATCH", "true").start()
}

/// Waits until the document of this number is in force.
fn in_force(tollgate: &Tollgate, number: u64) {
    tollgate.stderr_line(&format!("reload: document {number} is in force"));
}

/// How many reloads there were, of whatever outcome.
fn reloads(tollgate: &Tollgate) -> usize {
    tollgate.stderr().lines().filter(|l| l.contains(" reload: ") || l.contains(" reload refused")).count()
}

fn body(tollgate: &Tollgate, path: &str) -> String {
    tollgate.request(get(path)).text()
}

/// As editors save: a new file takes the name.
fn rename_over(path: &Path, text: &str) {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(&aside, path).unwrap();
}

#[test]
fn every_way_of_saving_a_file_is_seen_and_saving_the_same_is_nothing() {
    let tollgate = watching(&text("one"));
    let file = tollgate.directory().join("tollgate.yaml");
    // The same content in a new file, and the same file with another time, before anything else.
    rename_over(&file, &text("one"));
    std::fs::write(&file, text("two")).unwrap();
    in_force(&tollgate, 2);
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("two", 1));

    std::fs::write(&file, text("two")).unwrap();
    rename_over(&file, &text("six"));
    in_force(&tollgate, 3);
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("six", 2));

    // As long as before, with its time set back: rsync and others do that.
    let time = std::fs::metadata(&file).unwrap().modified().unwrap();
    let open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    std::io::Write::write_all(&mut &open, text("ten").as_bytes()).unwrap();
    open.set_modified(time).unwrap();
    in_force(&tollgate, 4);
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("ten", 3));

    // Touched and left; the next real change tells that nothing came of it.
    open.set_modified(time + Duration::from_secs(1)).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, text("four")).unwrap();
    in_force(&tollgate, 5);
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("four", 4));
}

#[test]
fn a_bad_document_is_told_once_and_a_good_one_is_taken_after_it() {
    let tollgate = watching(&text("one"));
    let file = tollgate.directory().join("tollgate.yaml");
    std::fs::write(&file, format!("{}rubbish: 1\n", text("two"))).unwrap();
    tollgate.stderr_line("reload refused");
    tollgate.stderr_line("rubbish");
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("one", 1));
    std::fs::write(&file, text("three")).unwrap();
    in_force(&tollgate, 2);
    assert_eq!((body(&tollgate, "/").as_str(), reloads(&tollgate)), ("three", 2));

    // Half of it, and the rest a moment later.
    let (whole, began) = (text("whole"), Instant::now());
    std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    std::fs::write(&file, &whole).unwrap();
    let at_once = began.elapsed() < Duration::from_millis(200);
    in_force(&tollgate, 3);
    assert_eq!(body(&tollgate, "/"), "whole");
    assert!(!at_once || reloads(&tollgate) == 3, "half a file was taken");
}

#[test]
fn what_a_document_names_is_watched_as_well() {
    let tollgate = watching(&text("one"));
    let folder = tollgate.directory().join("conf.d");
    // Not even the folder was there when the process started.
    std::fs::create_dir(&folder).unwrap();
    let part =
        |body: &str| format!("routes:\n  - {{ path: /part, respond: {{ status: 200, body: {body} }} }}\n");
    std::fs::write(folder.join("a.yaml"), part("first")).unwrap();
    in_force(&tollgate, 2);
    assert_eq!(body(&tollgate, "/part"), "first");
    rename_over(&folder.join("a.yaml"), &part("second"));
    in_force(&tollgate, 3);
    assert_eq!(body(&tollgate, "/part"), "second");
    std::fs::remove_file(folder.join("a.yaml")).unwrap();
    in_force(&tollgate, 4);
    assert_eq!(body(&tollgate, "/part"), "one");

    // The folder is empty, and stays one that is looked at.
    let secret = tollgate.directory().join("secret");
    std::fs::write(&secret, "before").unwrap();
    let with_secret = "routes:\n  - path: /part\n    respond: 204\n    headers: { response: { set: { X-Secret: { file: ../secret } } } }\n";
    std::fs::write(folder.join("b.yaml"), with_secret).unwrap();
    in_force(&tollgate, 5);
    let told = || tollgate.request(get("/part")).get("x-secret").map(str::to_owned);
    assert_eq!(told().as_deref(), Some("before"));
    rename_over(&secret, "after");
    in_force(&tollgate, 6);
    assert_eq!(told().as_deref(), Some("after"));
    assert_eq!(reloads(&tollgate), 5);
}

/// As Kubernetes mounts a ConfigMap: the file is a link into `..data`, which is a link to a folder, and a
/// new folder takes its place.
#[test]
fn a_folder_that_is_swapped_behind_a_link_is_seen() {
    let mount = tempfile::tempdir().unwrap();
    let path = |name: &str| mount.path().join(name);
    let publish = |version: &str, body: &str| {
        std::fs::create_dir(path(version)).unwrap();
        std::fs::write(path(version).join("tollgate.yaml"), text(body)).unwrap();
        symlink(version, path("..data_tmp")).unwrap();
        std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    publish("..1", "one");
    symlink("..data/tollgate.yaml", path("tollgate.yaml")).unwrap();
    let file = path("tollgate.yaml");
    let arguments = ["run", "--watch", "-c", file.to_str().unwrap()];
    let tollgate = Launch::with_arguments(PROGRAM, &arguments).start();
    for (number, body) in [(2, "two"), (3, "six"), (4, "ten")] {
        publish(&format!("..{number}"), body);
        std::fs::remove_dir_all(path(&format!("..{}", number - 1))).unwrap();
        in_force(&tollgate, number);
        assert_eq!(self::body(&tollgate, "/"), body);
    }
    assert_eq!(reloads(&tollgate), 3);
}
