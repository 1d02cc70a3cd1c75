//! Documents that are applied, rolled back and read again, mixed, good and bad, under load: nobody notices, and the
//! history tells each step.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tollgate_testkit::{Launch, OriginProcess, Output, Tollgate, run};

use crate::load::Load;
use crate::{PRELUDE, PROGRAM, get, origin_in_a_process};

const STEPS: usize = 200;
/// How many documents the history has.
const KEPT: usize = 10;

/// What should be kept: the number of each document, what it says, and why it was put into force.
#[derive(Debug, PartialEq)]
struct Version {
    number: u64,
    says: usize,
    occasion: String,
}

struct Operator<'t> {
    tollgate: &'t Tollgate,
    origin: SocketAddr,
    elsewhere: PathBuf,
    versions: Vec<Version>,
    /// What the instance's own file says.
    file: usize,
}

impl Operator<'_> {
    fn verb(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        run(command.args(arguments).env("TOLLGATE_SOCKET", self.tollgate.socket()))
    }

    /// One change. What it says is new, and told by its exit code whether it was taken.
    fn step(&mut self, step: usize) {
        let bad = step.is_multiple_of(3);
        let text = match bad {
            true => document(self.origin, step).replace("to: stay", "to: nobody"),
            false => document(self.origin, step),
        };
        let (output, says, occasion) = match step % 5 {
            0 | 3 => {
                std::fs::write(&self.elsewhere, text).unwrap();
                (self.verb(&["apply", self.elsewhere.to_str().unwrap()]), step, "apply".to_owned())
            }
            1 => {
                std::fs::write(self.tollgate.directory().join("tollgate.yaml"), text).unwrap();
                self.file = step;
                (self.verb(&["reload"]), step, "reload".to_owned())
            }
            _ => {
                // Sometimes one that was never there.
                let at = step * 7 % self.versions.len();
                let Version { number, says, .. } = self.versions[at];
                let number = if bad { number + 1_000 } else { number };
                let output = self.verb(&["rollback", &number.to_string()]);
                (output, says, format!("rollback to {number}"))
            }
        };
        let expected = match (bad, step % 5) {
            (false, _) => 0,
            (true, 2 | 4) => 1,
            (true, _) => 3,
        };
        assert_eq!(output.code, Some(expected), "step {step}: {output:?}");
        let current = self.versions.last().unwrap();
        // Going back to what is in force is no change, be it under another number.
        if !bad && current.says != says {
            self.versions.push(Version { number: current.number + 1, says, occasion });
            let forgotten = self.versions.len().saturating_sub(KEPT);
            self.versions.drain(..forgotten);
        }
    }

    fn assert_history(&self, step: usize) {
        let output = self.verb(&["history", "--json"]);
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        let told = told["versions"].as_array().unwrap();
        let told: Vec<_> =
            told.iter().map(|v| (v["number"].as_u64().unwrap(), v["occasion"].as_str().unwrap())).collect();
        let kept: Vec<_> = self.versions.iter().map(|v| (v.number, v.occasion.as_str())).collect();
        assert_eq!(told, kept, "step {step}");
    }
}

fn document(origin: SocketAddr, says: usize) -> String {
    // Another route and other settings, so that each is another snapshot in more than a text.
    let odd = if says.is_multiple_of(2) { "" } else { "{ name: odd, path: /odd, respond: 204 }, " };
    let idle = 1 + says % 64;
    format!(
        "{PRELUDE}workers: 2\nupstreams: {{ stay: {{ endpoints: [\"{origin}\"], pool: {{ max_idle: {idle} }} }} }}\n\
         routes: [{odd}{{ name: step, path: /step, respond: {{ status: 200, body: \"{says}\" }} }}, \
         {{ name: stay, path: {{ exact: / }}, to: stay }}]\n"
    )
}

#[test]
fn two_hundred_applies_rollbacks_and_reloads_disturb_nobody() {
    let scratch = tempfile::tempdir().unwrap();
    let executed: &Path = &scratch.path().join("executed");
    let process: OriginProcess = origin_in_a_process(executed);
    let origin = process.address();
    let tollgate = Launch::new(PROGRAM, &document(origin, 0)).start();
    let mut operator = Operator {
        tollgate: &tollgate,
        origin,
        elsewhere: scratch.path().join("elsewhere.yaml"),
        versions: vec![Version { number: 1, says: 0, occasion: "start".to_owned() }],
        file: 0,
    };
    let load = Load { clients: 4, post_every: 3, size: |number| number * 37 % 3000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        outcomes.wait_for_more(20);
        let mut kept = tollgate.connect();
        for step in 1..=STEPS {
            operator.step(step);
            let says = operator.versions.last().unwrap().says.to_string();
            assert_eq!(kept.request(get("/step")).text(), says, "step {step}");
            if step % 10 == 0 {
                operator.assert_history(step);
                outcomes.assert_no_failures();
            }
        }
        outcomes.wait_for_more(20);
    });
    outcomes.assert_no_failures();
    assert!(operator.file > 0 && operator.versions.len() == KEPT, "{:?}", operator.versions);
    let text = std::fs::read_to_string(executed).unwrap();
    let posts = text.lines().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, outcomes.executed.lock().unwrap().len(), "one was executed twice, or not at all");
}
