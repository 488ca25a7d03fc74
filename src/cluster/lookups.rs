//! Which runtimes a pod's owner declares, asked of the API server.
//!
//! The owner is the truth at the moment of the pod's creation, so nothing is remembered from one pod to the next:
//!
//! - The usual pod costs one GET. It goes with `resourceVersion=0`, which the API server answers from memory.
//! - The API server's memory may lag behind the controller that has just made the Sandbox. So an object that is missing, or
//!   has another uid than the pod's owner, is asked for once more without a version, which is answered from etcd.
//! - Passing trouble is tried again until the deadline. A request that hangs gets a second one beside it, because it may
//!   hang on a connection that died without a word.
//! - A kind that is not installed counts as not found. Whether it has come is asked again by at most one pod a second; the
//!   others get their answer without a request.
//!
//! A failed look-up is an error and never "no runtimes". Bytes held for each object: none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::{self, Rule, Trouble};
use super::backoff::Backoff;
use super::objects::{self, Kind};
use crate::metrics::{Lookup as Counted, Metrics};
use engine::runtimes::{Answer, LookupError, Question};
use engine::systems::kruise::{self, GROUP};

/// The first pause after a failed attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// After this long without an answer a second request goes out beside the first; sooner where little time is left.
const HANGS: Duration = Duration::from_secs(1);

/// Requests in flight. More would each open a connection, with a handshake that takes longer than to wait for one.
const AT_ONCE: usize = 128;

/// Second requests in flight: for connections that died, and not for an API server that is slow as a whole, which must
/// not get twice the load for it.
const SECOND_AT_ONCE: usize = 8;

/// How long it is believed that a kind is not installed.
const BELIEVED_ABSENT: Duration = Duration::from_secs(1);

/// Look-ups by kube.
pub struct Lookups {
    client: Client,
    metrics: Arc<Metrics>,
    turns: Semaphore,
    second_turns: Semaphore,
    sandboxes: Served,
    sandbox_sets: Served,
}

/// How the API server serves a kind, as far as is known.
struct Served {
    kind: Kind,
    state: Mutex<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    version: String,
    /// When to look again for a kind that is not installed.
    absent_until: Option<Instant>,
}

/// What to look for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
    uid: Option<&'a str>,
}

/// How fresh an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// Whatever the API server has in memory.
    Any,
    /// What is in etcd now.
    Latest,
}

// === impl Lookups ===

impl Lookups {
    /// Look-ups through `client`, counted in `metrics`.
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            metrics,
            turns: Semaphore::new(AT_ONCE),
            second_turns: Semaphore::new(SECOND_AT_ONCE),
            sandboxes: Served::new(Kind::Sandbox),
            sandbox_sets: Served::new(Kind::SandboxSet),
        }
    }

    async fn find(&self, wanted: Wanted<'_>, deadline: Instant) -> Result<Option<Vec<String>>, LookupError> {
        let served = match wanted.kind {
            Kind::Sandbox => &self.sandboxes,
            Kind::SandboxSet => &self.sandbox_sets,
        };
        let mut freshness = Freshness::Any;
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut attempts = 0_u32;
        let mut before = String::new();
        // Asked once: the caller sent to look for the kind reports the result, an error included.
        let Some(mut version) = served.version() else { return Ok(None) };
        loop {
            attempts += 1;
            let path = wanted.path(&version, freshness);
            let trouble = match timeout_at(deadline, self.get(&path, deadline)).await {
                Ok(Ok(object)) => {
                    served.is_there(&version);
                    match objects::declared(wanted.kind, wanted.name, wanted.uid, &object) {
                        Ok(Some(names)) => return Ok(Some(names)),
                        Ok(None) => Trouble::NoObject,
                        Err(nonsense) => Trouble::Lasting(format!("unexpected response: {nonsense}")),
                    }
                }
                Ok(Err(trouble)) => trouble,
                Err(_) => return Err(wanted.gave_up(attempts, &late(&before))),
            };
            let trouble = match (trouble, freshness) {
                (Trouble::NoObject, Freshness::Any) => {
                    served.is_there(&version);
                    freshness = Freshness::Latest;
                    continue;
                }
                (Trouble::NoObject, Freshness::Latest) => return Ok(None),
                (Trouble::NoPath, _) => {
                    match timeout_at(deadline, self.discover(wanted.kind, deadline)).await {
                        Ok(Ok(None)) => {
                            served.is_absent();
                            return Ok(None);
                        }
                        Ok(Ok(Some(found))) if found != version => {
                            served.is_there(&found);
                            version = found;
                            continue;
                        }
                        Ok(Ok(Some(_))) => Trouble::passing("the API server does not serve the kind yet"),
                        Ok(Err(trouble)) => trouble,
                        Err(_) => {
                            return Err(wanted.gave_up(attempts, &late(&before)));
                        }
                    }
                }
                (trouble, _) => trouble,
            };
            let why = trouble.describe(wanted.rule());
            let Trouble::Passing { after, .. } = trouble else {
                return Err(LookupError::Permanent(format!("{}: {why}", wanted.describe())));
            };
            let pause = backoff.pause().max(after.unwrap_or_default());
            if Instant::now() + pause >= deadline {
                return Err(wanted.gave_up(attempts, &why));
            }
            self.metrics.lookup(Counted::Retried);
            tracing::debug!(attempts, why, "retrying the look-up");
            sleep(pause).await;
            before = why;
        }
    }

    /// One GET, and a second beside it if that hangs; whichever answers first.
    async fn get(&self, path: &str, deadline: Instant) -> Result<hyper::body::Bytes, Trouble> {
        // The semaphores are never closed, so that there is always a turn to come.
        let _turn = self.turns.acquire().await.ok();
        let first = ask::get(&self.client, path);
        tokio::pin!(first);
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(answer) = timeout(HANGS.min(left / 2), &mut first).await {
            return answer;
        }
        let Ok(_second_turn) = self.second_turns.try_acquire() else { return first.await };
        tokio::select! {
            answer = first => answer,
            answer = ask::get(&self.client, path) => answer,
        }
    }

    /// The version in which the kind is served; `None` when it is not installed.
    ///
    /// The list of groups is asked for first: it is an answer that only an API server gives, so an address that has nothing at
    /// all under any path is not taken for a cluster without the kind.
    async fn discover(&self, kind: Kind, deadline: Instant) -> Result<Option<String>, Trouble> {
        let groups: GroupList = self.discovered("/apis", deadline).await?;
        let Some(group) = groups.groups.into_iter().find(|group| group.name == GROUP) else {
            return Ok(None);
        };
        let mut versions: Vec<String> =
            group.versions.into_iter().map(|Version { version }| version).collect();
        let preferred = group.preferred_version.map(|Version { version }| version).unwrap_or_default();
        versions.sort_by_key(|version| *version != preferred);
        for version in versions.into_iter().filter(|version| ask::is_name(version)) {
            let path = format!("/apis/{GROUP}/{version}");
            match self.discovered::<ResourceList>(&path, deadline).await {
                Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural()) => {
                    return Ok(Some(version));
                }
                Ok(_) | Err(Trouble::NoPath | Trouble::NoObject) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    async fn discovered<T: for<'j> Deserialize<'j>>(
        &self,
        path: &str,
        deadline: Instant,
    ) -> Result<T, Trouble> {
        let nonsense = |why: &dyn std::fmt::Display| {
            Trouble::Lasting(format!("unexpected response from {path} ({why}); is this an API server?"))
        };
        match self.get(path, deadline).await {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| nonsense(&error)),
            Err(Trouble::NoPath | Trouble::NoObject) if path == "/apis" => Err(nonsense(&"404")),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Lookups {
    /// The names in the object's `spec.runtimes`; `None` when there is no such object. An answer comes before
    /// `deadline`.
    pub async fn declared(&self, question: &Question, deadline: Instant) -> Answer {
        let wanted = match question {
            Question::Sandbox { namespace, name, uid } => {
                Wanted { kind: Kind::Sandbox, namespace, name, uid: Some(uid) }
            }
            Question::SandboxSet { namespace, name } => {
                Wanted { kind: Kind::SandboxSet, namespace, name, uid: None }
            }
        };
        // Names come from the pod. One that no object can have is not asked for, nor one without the uid that every
        // object in a cluster has.
        let possible =
            ask::is_name(wanted.name) && ask::is_namespace(wanted.namespace) && wanted.uid != Some("");
        let answer = if possible { self.find(wanted, deadline).await } else { Ok(None) };
        self.metrics.lookup(match &answer {
            Ok(Some(_)) => Counted::Found,
            Ok(None) => Counted::NotFound,
            Err(LookupError::Transient(_)) => Counted::Unavailable,
            Err(LookupError::Permanent(_)) => Counted::Refused,
        });
        answer
    }
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookups")
    }
}

// === impl Wanted ===

impl Wanted<'_> {
    fn path(&self, version: &str, freshness: Freshness) -> String {
        let Self { kind, namespace, name, uid: _ } = self;
        let query = match freshness {
            Freshness::Any => "?resourceVersion=0",
            Freshness::Latest => "",
        };
        format!("/apis/{GROUP}/{version}/namespaces/{namespace}/{}/{name}{query}", kind.plural())
    }

    fn rule(&self) -> Rule<'_> {
        Rule { verbs: "get", resource: self.kind.plural(), group: GROUP, namespace: Some(self.namespace) }
    }

    fn describe(&self) -> String {
        format!("cannot look up the {} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }

    fn gave_up(&self, attempts: u32, why: &str) -> LookupError {
        let times = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
        LookupError::Transient(format!("{}: {why} ({times})", self.describe()))
    }
}

/// Why an attempt was cut short, with what went wrong `before` it.
fn late(before: &str) -> String {
    let late = "the API server did not answer in time";
    if before.is_empty() { late.to_owned() } else { format!("{before}; then {late}") }
}

// === impl Served ===

impl Served {
    fn new(kind: Kind) -> Self {
        Self { kind, state: Mutex::new(State { version: kruise::VERSION.to_owned(), absent_until: None }) }
    }

    /// The version to ask for; `None` while the kind is believed not to be installed. When that belief is old, one caller is
    /// sent to look, and the others wait for what it finds without asking themselves.
    fn version(&self) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = &mut state.absent_until {
            let now = Instant::now();
            if now < *until {
                return None;
            }
            *until = now + BELIEVED_ABSENT;
        }
        Some(state.version.clone())
    }

    fn is_there(&self, version: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.version != version {
            version.clone_into(&mut state.version);
        }
        if state.absent_until.take().is_some() {
            tracing::info!(
                kind = self.kind.as_str(),
                version,
                "the kind is now installed; look-ups are enabled"
            );
        }
    }

    fn is_absent(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.absent_until.replace(Instant::now() + BELIEVED_ABSENT).is_none() {
            tracing::warn!(
                kind = self.kind.as_str(),
                group = GROUP,
                "the kind is not installed in the cluster; treated as not found until it is"
            );
        }
    }
}

/// `APIGroupList`, as far as it is read.
#[derive(Deserialize)]
struct GroupList {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<Version>,
    #[serde(default)]
    preferred_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// `APIResourceList`, as far as it is read.
#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}
