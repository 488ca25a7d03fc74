//! Replays what fuzzers found and the seeds they start from: `fuzz/README.md` says where they come
//! from.

use std::fs;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;

use super::repository;

/// What the slowest input may take, with plenty of room for a busy machine and a build without
/// optimisation.
const LONGEST: Duration = Duration::from_secs(20);

/// The archive of seeds: an input per line, in base64.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let name = format!("fuzz/seeds/{target}.b64");
    let text = repository::text(&name);
    let lines = text.lines().zip(1..);
    lines
        .map(|(line, number)| (format!("{name}:{number}"), STANDARD.decode(line).unwrap()))
        .collect()
}

/// The files of a folder, in order; none where there is no such folder.
fn found(target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(files) = fs::read_dir(repository::path("fuzz/found").join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(
        !paths.is_empty(),
        "{target}: a folder with nothing to replay"
    );
    paths
        .iter()
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect()
}

#[rstest]
#[case::review_decoder("review_decoder", invariants::review_decoder)]
#[case::review("review", invariants::review)]
#[case::configuration("configuration", invariants::configuration)]
#[case::pod_and_configuration("pod_and_configuration", invariants::pod_and_configuration)]
fn every_kept_input_still_passes(#[case] target: &str, #[case] check: fn(&[u8])) {
    let (seeds, found) = (seeds(target), found(target));
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let mut failed = Vec::new();
    for (name, input) in seeds.iter().chain(&found) {
        let begun = Instant::now();
        if catch_unwind(|| check(input)).is_err() {
            failed.push(format!("{name}: an invariant is broken, as said above"));
        }
        if begun.elapsed() > LONGEST {
            failed.push(format!("{name}: took {:?}", begun.elapsed()));
        }
    }
    println!(
        "{target}: replayed {} seeds and {} finds",
        seeds.len(),
        found.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
