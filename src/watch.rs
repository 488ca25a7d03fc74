//! Reports when files may have changed: the one user of file system notifications.
//!
//! A [`Watch`] is of a directory, never of a file in it, for a mounted ConfigMap or Secret changes
//! by a rename of its `..data` link and the files themselves then never report again. It says
//! *maybe*: the caller reads and compares. It must never miss a change for good, so besides
//! notifications there is a slow look at the clock, and a quicker one while there are no
//! notifications.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

/// Writers touch several files for one change: this long must be quiet before the change is
/// reported.
const QUIET_TIME: Duration = Duration::from_millis(50);

/// A directory that is never quiet is reported all the same after this long.
const MAX_DELAY: Duration = Duration::from_millis(300);

/// How often a change is assumed of which there was no notification, such as an edit in a directory
/// to which a link leads.
const ARMED_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The same, while there are no notifications because the kernel has no watches left.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Reports when a directory may have changed. Create it *before* the first read, so that no change
/// falls in between.
pub struct Watch {
    directory: PathBuf,
    signal: Arc<Signal>,
    arm: Arm,
    armed: Option<Armed>,
    /// There was a notification that no call has reported yet.
    noticed: bool,
    /// It was logged that there are no notifications.
    warned: bool,
}

/// What the notification thread tells the waiting task.
#[derive(Default)]
struct Signal {
    wake: Notify,
    /// The directory itself or one above it came, went or was renamed: what is watched may be no
    /// longer there.
    moved: AtomicBool,
}

/// The watcher, and which directories it watches by their identity.
struct Armed {
    _watcher: RecommendedWatcher,
    watched: Vec<DirectoryId>,
}

/// Device and inode: a path may come to mean another directory.
type DirectoryId = (PathBuf, u64, u64);

type Arm = fn(&Path, &[PathBuf], &Arc<Signal>) -> notify::Result<RecommendedWatcher>;

/// Watches the directory at `path`, which need not exist yet.
#[must_use]
pub fn directory(path: &Path) -> Watch {
    Watch::new(path.to_owned(), arm)
}

/// Watches the directory of the file at `path`.
#[must_use]
pub fn file(path: &Path) -> Watch {
    let parent = path.parent().filter(|parent| *parent != OsStr::new(""));
    directory(parent.unwrap_or(Path::new(".")))
}

impl Watch {
    fn new(path: PathBuf, arm: Arm) -> Self {
        // Notifications carry absolute paths; a relative one could not be compared with them.
        let directory = std::path::absolute(&path).unwrap_or(path);
        let mut watch = Self {
            directory,
            signal: Arc::default(),
            arm,
            armed: None,
            noticed: false,
            warned: false,
        };
        watch.rearm();
        watch
    }

    /// Waits until something may have changed since the previous call. Cancelling it loses nothing.
    pub async fn changed(&mut self) {
        let interval = if self.armed.is_some() {
            ARMED_POLL_INTERVAL
        } else {
            POLL_INTERVAL
        };
        let signal = Arc::clone(&self.signal);
        if !self.noticed {
            self.noticed = timeout_at(Instant::now() + interval, signal.wake.notified())
                .await
                .is_ok();
        }
        if self.noticed {
            // Still noticed if this wait is cancelled.
            let latest = Instant::now() + MAX_DELAY;
            loop {
                sleep(QUIET_TIME).await;
                let more = timeout_at(Instant::now(), signal.wake.notified())
                    .await
                    .is_ok();
                if !more || Instant::now() >= latest {
                    break;
                }
            }
            self.noticed = false;
        }
        // Before the caller reads: what changes after this is reported by the next call.
        self.rearm();
    }

    /// Watches what the path means now, if that is not what is being watched.
    fn rearm(&mut self) {
        let moved = self.signal.moved.swap(false, Ordering::AcqRel);
        let wanted: Vec<DirectoryId> = targets(&self.directory)
            .into_iter()
            .filter_map(identify)
            .collect();
        if !moved
            && self
                .armed
                .as_ref()
                .is_some_and(|armed| armed.watched == wanted)
        {
            return;
        }
        self.armed = None;
        let paths: Vec<PathBuf> = wanted.iter().map(|(path, ..)| path.clone()).collect();
        match (self.arm)(&self.directory, &paths, &self.signal) {
            Ok(watcher) => {
                self.armed = Some(Armed {
                    _watcher: watcher,
                    watched: wanted,
                });
                self.warned = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        directory = %self.directory.display(),
                        %error,
                        "file notifications are unavailable, polling every {POLL_INTERVAL:?} instead; \
                         fs.inotify.max_user_watches or max_user_instances may be exhausted"
                    );
                }
            }
        }
    }
}

/// The directory, where it exists, and the nearest one above that exists and will tell when it
/// comes or goes.
fn targets(directory: &Path) -> Vec<PathBuf> {
    let own = directory.is_dir().then(|| directory.to_owned());
    let above = directory
        .ancestors()
        .skip(1)
        .find(|path| path.is_dir())
        .map(Path::to_owned);
    own.into_iter().chain(above).collect()
}

#[cfg(unix)]
fn identify(path: PathBuf) -> Option<DirectoryId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(&path).ok()?;
    Some((path, metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identify(path: PathBuf) -> Option<DirectoryId> {
    Some((path, 0, 0))
}

/// Starts notifications for `paths`; those above `directory` only matter when they tell of it.
fn arm(
    directory: &Path,
    paths: &[PathBuf],
    signal: &Arc<Signal>,
) -> notify::Result<RecommendedWatcher> {
    let (directory, signal) = (directory.to_owned(), Arc::clone(signal));
    let on_path = directory.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let (inside, moved) = match event {
            Ok(event) => judge(&on_path, &event),
            // The kernel dropped events, or worse: anything may have happened.
            Err(_) => (true, true),
        };
        if moved {
            signal.moved.store(true, Ordering::Release);
        }
        if inside || moved {
            signal.wake.notify_one();
        }
    })?;
    if paths.is_empty() {
        return Err(notify::Error::io(io::Error::from(io::ErrorKind::NotFound)).add_path(directory));
    }
    for path in paths {
        watcher.watch(path, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether an event is about the directory's contents, and whether it is about the directory's own
/// existence.
fn judge(directory: &Path, event: &notify::Event) -> (bool, bool) {
    if event.need_rescan() {
        return (true, true);
    }
    let existence = match event.kind {
        // Our own reading opens files; reporting that would never end.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => return (false, false),
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            true
        }
        _ => false,
    };
    let inside = event.paths.iter().any(|path| path.starts_with(directory));
    let moved = existence && event.paths.iter().any(|path| directory.starts_with(path));
    (inside, moved)
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    /// Far less than the slow look, far more than a notification takes.
    const SOON: Duration = Duration::from_secs(3);

    async fn seen(watch: &mut Watch) -> bool {
        timeout(SOON, watch.changed()).await.is_ok()
    }

    async fn quiet(watch: &mut Watch) -> bool {
        timeout(MAX_DELAY, watch.changed()).await.is_err()
    }

    /// A change may be reported once more than needed; afterwards it is quiet.
    async fn settle(watch: &mut Watch) {
        while !quiet(watch).await {}
    }

    /// As the kubelet writes: a new directory, and the link to it renamed into place.
    fn swap(directory: &Path, round: usize) {
        let fresh = format!("..round_{round}");
        fs::create_dir(directory.join(&fresh)).unwrap();
        fs::write(directory.join(&fresh).join("key"), round.to_string()).unwrap();
        let old = fs::read_link(directory.join("..data")).ok();
        std::os::unix::fs::symlink(&fresh, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(directory.join(old)).unwrap();
        }
    }

    #[tokio::test]
    async fn every_swap_of_a_mounted_volume_is_seen() {
        let dir = TempDir::new().unwrap();
        swap(dir.path(), 0);
        let mut watch = directory(dir.path());
        for round in 1..=5 {
            settle(&mut watch).await;
            swap(dir.path(), round);
            assert!(seen(&mut watch).await, "round {round}");
        }
    }

    #[tokio::test]
    async fn edits_in_place_and_by_rename_are_seen_but_reads_are_not() {
        let dir = TempDir::new().unwrap();
        let (file_path, swap_path) = (dir.path().join("key"), dir.path().join(".key.swp"));
        fs::write(&file_path, "one").unwrap();
        let mut watch = file(&file_path);
        fs::write(&file_path, "two").unwrap();
        assert!(seen(&mut watch).await);
        settle(&mut watch).await;
        fs::read(&file_path).unwrap();
        assert!(quiet(&mut watch).await);
        fs::write(&swap_path, "three").unwrap();
        settle(&mut watch).await;
        fs::rename(&swap_path, &file_path).unwrap();
        assert!(seen(&mut watch).await);
    }

    #[tokio::test]
    async fn a_directory_deleted_and_made_again_is_watched_again() {
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("mount");
        fs::create_dir(&dir).unwrap();
        let mut watch = directory(&dir);
        for _ in 0..3 {
            fs::remove_dir_all(&dir).unwrap();
            assert!(seen(&mut watch).await, "removal");
            settle(&mut watch).await;
            fs::create_dir(&dir).unwrap();
            assert!(seen(&mut watch).await, "creation");
            settle(&mut watch).await;
            fs::write(dir.join("key"), "x").unwrap();
            assert!(seen(&mut watch).await, "write");
            settle(&mut watch).await;
        }
    }

    #[tokio::test]
    async fn a_directory_whose_parents_come_later_is_found() {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("a/b/c");
        let mut watch = directory(&dir);
        for part in ["a", "a/b", "a/b/c", "a/b/c/key"] {
            fs::create_dir(root.path().join(part)).unwrap();
            assert!(seen(&mut watch).await, "{part}");
            settle(&mut watch).await;
        }
    }

    #[tokio::test]
    async fn a_link_to_a_directory_that_is_pointed_elsewhere_is_followed() {
        let root = TempDir::new().unwrap();
        let (one, two, link) = (
            root.path().join("one"),
            root.path().join("two"),
            root.path().join("link"),
        );
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let mut watch = directory(&link);
        std::os::unix::fs::symlink(&two, root.path().join("next")).unwrap();
        fs::rename(root.path().join("next"), &link).unwrap();
        assert!(seen(&mut watch).await);
        settle(&mut watch).await;
        fs::write(two.join("key"), "x").unwrap();
        assert!(seen(&mut watch).await);
    }

    #[tokio::test]
    async fn neighbours_of_the_directory_do_not_matter() {
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("mount");
        fs::create_dir(&dir).unwrap();
        let mut watch = directory(&dir);
        settle(&mut watch).await;
        fs::write(parent.path().join("neighbour"), "x").unwrap();
        assert!(quiet(&mut watch).await);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_no_change() {
        let dir = TempDir::new().unwrap();
        let mut watch = directory(dir.path());
        settle(&mut watch).await;
        fs::write(dir.path().join("key"), "x").unwrap();
        // Long enough for the notification to be taken, too short for the quiet that follows.
        for _ in 0..5 {
            let _ = timeout(QUIET_TIME / 2, watch.changed()).await;
        }
        assert!(seen(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_notifications_it_looks_by_itself() {
        let dir = TempDir::new().unwrap();
        let mut watch = Watch::new(dir.path().to_owned(), |_, _, _| {
            Err(notify::Error::generic("no watches left"))
        });
        let start = Instant::now();
        watch.changed().await;
        watch.changed().await;
        assert_eq!(start.elapsed().as_secs(), 2 * POLL_INTERVAL.as_secs());
    }
}
