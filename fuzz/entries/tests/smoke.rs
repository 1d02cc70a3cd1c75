//! The fuzz targets on a stable compiler: each seed as it is, and many small changes of each, from fixed
//! random numbers. `TOLLGATE_FUZZ_ROUNDS` makes it longer. A failure prints the target and the input.

use std::path::{Path, PathBuf};

use tollgate_fuzz_entries::{ENTRIES, Entry};

const ROUNDS: u64 = 400;

/// What parsers look for.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"%2e",
    b"%2F",
    b"%00",
    b"%25",
    b"/",
    b"//",
    b"..",
    b".",
    b"?",
    b"#",
    b"@",
    b"[",
    b"]",
    b";",
    b"\"",
    b"\\",
    b"\xff",
    b"\xc3\xa4",
    b"0",
    b"ffffffffffffffff",
    b"65536",
    b"- ",
    b"{ ",
    b" }",
    b"${A}",
    b"&a ",
    b"*a",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// SplitMix64: fixed numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (limit.max(1) as u64)) as usize
    }
}

/// One to four small changes.
fn changed(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(data.len() + 1);
        let end = (at + numbers.below(8)).min(data.len());
        match numbers.below(6) {
            0 => drop(data.drain(at..end)),
            1 => drop(data.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
            2 => drop(data.splice(at..end, PIECES[numbers.below(PIECES.len())].iter().copied())),
            3 => data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << numbers.below(8)),
            4 => {
                let again = data[at..end].to_vec();
                drop(data.splice(at..at, again));
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data
}

fn seeds(entry: &Entry) -> Vec<Vec<u8>> {
    let folder = folder().join("seeds").join(entry.name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs one input; tells which it was before a panic goes on.
fn run(entry: &Entry, data: &[u8], round: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| (entry.run)(data)) {
        eprintln!("fuzz target {}, {round}: \"{}\"", entry.name, data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_seeds_and_their_neighbours_hold() {
    let rounds = std::env::var("TOLLGATE_FUZZ_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("TOLLGATE_FUZZ_ROUNDS is a number"));
    for entry in ENTRIES {
        let seeds = seeds(entry);
        assert!(seeds.len() >= 3, "{} needs seeds", entry.name);
        for seed in &seeds {
            run(entry, seed, "a seed");
        }
        for round in 0..rounds {
            let mut numbers = Numbers(round);
            for seed in &seeds {
                let other = &seeds[numbers.below(seeds.len())];
                run(entry, &changed(seed, other, &mut numbers), &format!("round {round}"));
            }
        }
    }
}

#[test]
fn each_entry_has_its_target_and_the_other_way_round() {
    let files = std::fs::read_dir(folder().join("targets")).unwrap();
    let mut targets: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    targets.sort();
    let mut entries: Vec<_> = ENTRIES.iter().map(|entry| format!("{}.rs", entry.name)).collect();
    entries.sort();
    assert_eq!(targets, entries);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for entry in ENTRIES {
        assert!(manifest.contains(&format!("path = \"targets/{}.rs\"", entry.name)), "{}", entry.name);
    }
}
