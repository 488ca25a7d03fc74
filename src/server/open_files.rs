//! How many files the process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to `wanted` files as far as the hard one allows, and returns how many may
/// then be open.
///
/// Container runtimes start processes with a soft limit of 1024, kept low for programs that use
/// `select`, and expect those that need more to raise it.
pub(super) fn allow(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let files = |limit: Option<u64>| {
        limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
    };
    if files(current) >= wanted {
        return files(current);
    }
    let raised = wanted.min(files(maximum));
    match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: u64::try_from(raised).ok(),
            maximum,
        },
    ) {
        Ok(()) => raised,
        Err(_) => files(current),
    }
}
