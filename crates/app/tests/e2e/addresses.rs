//! Files of addresses are taken without a reload, as a whole or not at all.

use tollgate_testkit::{Launch, PATIENCE, Tollgate};

use crate::{PRELUDE, PROGRAM};

const DOCUMENT: &str = "admin: { listen: \"127.0.0.1:0\" }\nroutes: [{ path: /, respond: 204, \
                        addresses: { deny: [192.0.2.0/24], deny_files: [\"{list}\", \"{other}\"] } }]\n";
const STUCK: &str = "tollgate_files_stuck{kind=\"addresses\"}";

fn await_status(tollgate: &Tollgate, status: u16) {
    let began = std::time::Instant::now();
    while tollgate.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status != status {
        assert!(began.elapsed() < PATIENCE, "it does not become {status}");
    }
}

#[test]
fn files_of_addresses_are_taken_without_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let [list, other] = ["list.txt", "other.txt"].map(|name| directory.path().join(name));
    let write = |text: &str| std::fs::write(&list, text).unwrap();
    write("# nobody\n");
    std::fs::write(&other, "198.51.100.7\n").unwrap();
    let tollgate = Launch::new(PROGRAM, &format!("{PRELUDE}{DOCUMENT}"))
        .with("list", list.display())
        .with("other", other.display())
        .start();
    await_status(&tollgate, 204);
    write("127.0.0.0/8 # here\n");
    await_status(&tollgate, 403);
    tollgate.stderr_line("files of addresses have changed: 3 ranges are in force");
    // Half of a list lets nobody in.
    write("127.0.0.0/8\nnonsense\n");
    tollgate.await_metric(STUCK, 1.0);
    assert_eq!(tollgate.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 403);
    tollgate.stderr_line("line 2: `nonsense`");
    write("203.0.113.0/24\n");
    await_status(&tollgate, 204);
    tollgate.await_metric(STUCK, 0.0);
}
