//! The inputs that fuzzing has kept, through the same checks: `fuzz/README.md` says where they come from.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing case should say so")]
#![allow(clippy::print_stdout, reason = "how many were replayed is worth a line")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rstest::rstest;

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

/// What the slowest input may take, with plenty of room for a busy machine and a build without optimisation.
const LONGEST: Duration = Duration::from_secs(20);

/// The files in a folder, in order; none where there is no such folder.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds nothing to replay", folder.display());
    paths
}

#[rstest]
#[case::review_decoder("review_decoder", fuzz::review_decoder)]
#[case::review("review", fuzz::review)]
#[case::configuration("configuration", fuzz::configuration)]
#[case::pod_and_configuration("pod_and_configuration", fuzz::pod_and_configuration)]
fn what_was_kept_still_holds(#[case] target: &str, #[case] check: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let (mut counts, mut failed) = ([0, 0], Vec::new());
    for (count, kind) in counts.iter_mut().zip(["seeds", "found"]) {
        for path in inputs(&fuzz.join(kind).join(target)) {
            let data = fs::read(&path).unwrap();
            let begun = Instant::now();
            if catch_unwind(|| check(&data)).is_err() {
                failed.push(format!("{}: does not hold, as said above", path.display()));
            }
            if begun.elapsed() > LONGEST {
                failed.push(format!("{}: took {:?}", path.display(), begun.elapsed()));
            }
            *count += 1;
        }
    }
    assert!(counts[0] > 0, "{target} has no seeds");
    println!("{target}: replayed {} seeds and {} finds", counts[0], counts[1]);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
