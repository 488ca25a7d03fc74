//! Which runtimes a pod's owner declares, looked up through the API server.
//!
//! The owner is the truth at the moment of the pod's creation, so nothing is remembered from one
//! pod to the next:
//!
//! - The usual pod costs one GET. It goes with `resourceVersion=0`, which the API server answers
//!   from memory.
//! - The API server's memory may lag behind the controller that has just created the Sandbox. So an
//!   object that is missing, or has another uid than the pod's owner, is requested once more
//!   without a version, which is answered from etcd.
//! - A transient error is retried until the deadline. A request that hangs gets a second one beside
//!   it, because it may hang on a connection that died silently.
//! - A kind that is not installed counts as not found. At most one pod per second checks whether it
//!   has been installed; the others get their answer without a request.
//!
//! A failed look-up is an error and never "no runtimes". Bytes held per object: none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::kube::names::{is_dns_label, is_dns_subdomain};
use engine::runtimes::{LookupError, Question};
use engine::systems::kruise::{GROUP, KruiseKind, VERSION};
use hyper::body::Bytes;
use kube::Client;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::api::{self, ApiError, MalformedAnswer, Rule};
use super::backoff::Backoff;
use super::objects;
use crate::metrics::{Lookup, Metrics};

/// The first pause after a failed attempt.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// The longest.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// After this long without an answer a second request goes out beside the first; sooner where
/// little time is left.
const HANG_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests in flight. More would each open a connection, with a handshake that takes longer than
/// to wait for one.
const MAX_REQUESTS: usize = 128;

/// Second requests in flight: for connections that died, and not for an API server that is slow as
/// a whole, which must not get twice the load for it.
const MAX_SECOND_REQUESTS: usize = 8;

/// How long it is believed that a kind is not installed.
const ABSENCE_TTL: Duration = Duration::from_secs(1);

/// Look-ups by kube.
pub struct Lookups {
    client: Client,
    metrics: Arc<Metrics>,
    turns: Semaphore,
    second_turns: Semaphore,
    sandboxes: ServedKind,
    sandbox_sets: ServedKind,
}

/// How the API server serves a kind, as far as is known.
struct ServedKind {
    kind: KruiseKind,
    known: Mutex<Known>,
}

struct Known {
    version: String,
    /// When to look again for a kind that is not installed.
    absent_until: Option<Instant>,
}

/// The object to look for.
#[derive(Clone, Copy)]
struct Target<'a> {
    kind: KruiseKind,
    namespace: &'a str,
    name: &'a str,
    uid: Option<&'a str>,
}

/// A look-up under way.
struct Search<'a> {
    target: Target<'a>,
    served: &'a ServedKind,
    version: String,
    freshness: Freshness,
    attempts: u32,
}

/// How fresh an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// Whatever the API server has in memory.
    Cached,
    /// What is in etcd now.
    Latest,
}

/// The result of one attempt.
enum Attempt {
    /// The answer: the names, or that there is no such object.
    Answered(Option<Vec<String>>),
    /// Another path is to be tried at once.
    Elsewhere,
}

impl Lookups {
    /// Look-ups through `client`, counted in `metrics`.
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            metrics,
            turns: Semaphore::new(MAX_REQUESTS),
            second_turns: Semaphore::new(MAX_SECOND_REQUESTS),
            sandboxes: ServedKind::new(KruiseKind::Sandbox),
            sandbox_sets: ServedKind::new(KruiseKind::SandboxSet),
        }
    }

    /// The names in the object's `spec.runtimes`; `None` when there is no such object. An answer
    /// comes before `deadline`.
    pub async fn declared(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<Option<Vec<String>>, LookupError> {
        let (served, target) = match question {
            Question::Sandbox {
                namespace,
                name,
                uid,
            } => (
                &self.sandboxes,
                Target {
                    kind: KruiseKind::Sandbox,
                    namespace,
                    name,
                    uid: Some(uid),
                },
            ),
            Question::SandboxSet { namespace, name } => (
                &self.sandbox_sets,
                Target {
                    kind: KruiseKind::SandboxSet,
                    namespace,
                    name,
                    uid: None,
                },
            ),
        };
        // Names come from the pod. One that no object can have would change the path; every object
        // in a cluster has a uid.
        let possible = is_dns_subdomain(target.name)
            && is_dns_label(target.namespace)
            && target.uid != Some("");
        let answer = if possible {
            self.find(served, target, deadline).await
        } else {
            Ok(None)
        };
        self.metrics.lookup(match &answer {
            Ok(Some(_)) => Lookup::Found,
            Ok(None) => Lookup::NotFound,
            Err(LookupError::Transient(_)) => Lookup::Unavailable,
            Err(LookupError::Permanent(_)) => Lookup::Refused,
        });
        answer
    }

    /// Attempts until there is an answer, an error that lasts, or no time left.
    async fn find(
        &self,
        served: &ServedKind,
        target: Target<'_>,
        deadline: Instant,
    ) -> Result<Option<Vec<String>>, LookupError> {
        // Asked once: the caller sent to look for the kind reports the result, an error included.
        let Some(version) = served.version() else {
            return Ok(None);
        };
        let mut search = Search {
            target,
            served,
            version,
            freshness: Freshness::Cached,
            attempts: 0,
        };
        let mut backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);
        let mut before = None;
        loop {
            let error = match timeout_at(deadline, self.attempt(&mut search, deadline)).await {
                Ok(Ok(Attempt::Answered(names))) => return Ok(names),
                Ok(Ok(Attempt::Elsewhere)) => continue,
                Ok(Err(error)) => error,
                Err(_) => return Err(search.gave_up(&late(before.as_ref()))),
            };
            if !error.is_transient() {
                return Err(LookupError::Permanent(format!(
                    "{}: {error}",
                    target.describe()
                )));
            }
            let pause = backoff.pause().max(error.retry_after().unwrap_or_default());
            if Instant::now() + pause >= deadline {
                return Err(search.gave_up(&error.to_string()));
            }
            self.metrics.lookup(Lookup::Retried);
            tracing::debug!(attempts = search.attempts, why = %error, "retrying the look-up");
            sleep(pause).await;
            before = Some(error);
        }
    }

    /// One GET of the object, and what it says about where to look next.
    async fn attempt(
        &self,
        search: &mut Search<'_>,
        deadline: Instant,
    ) -> Result<Attempt, ApiError> {
        search.attempts += 1;
        match self.object(search, deadline).await {
            Ok(Some(names)) => Ok(Attempt::Answered(Some(names))),
            Ok(None) if search.freshness == Freshness::Cached => {
                search.freshness = Freshness::Latest;
                Ok(Attempt::Elsewhere)
            }
            Ok(None) => Ok(Attempt::Answered(None)),
            Err(ApiError::NoPath) => self.rediscover(search, deadline).await,
            Err(error) => Err(error),
        }
    }

    /// The names that the object declares; `None` when it does not exist, or is not the pod's
    /// owner.
    async fn object(
        &self,
        search: &Search<'_>,
        deadline: Instant,
    ) -> Result<Option<Vec<String>>, ApiError> {
        let Search {
            target,
            served,
            version,
            freshness,
            attempts: _,
        } = search;
        let json = match self
            .get(&target.path(version, *freshness), &target.rule(), deadline)
            .await
        {
            Ok(json) => Some(json),
            Err(ApiError::NoObject) => None,
            Err(error) => return Err(error),
        };
        served.is_there(version);
        let Some(json) = json else { return Ok(None) };
        Ok(objects::declared(
            target.kind,
            target.name,
            target.uid,
            &json,
        )?)
    }

    /// After a missing path: whether the kind is served in another version, or not at all.
    async fn rediscover(
        &self,
        search: &mut Search<'_>,
        deadline: Instant,
    ) -> Result<Attempt, ApiError> {
        match self.discover(&search.target, deadline).await? {
            None => {
                search.served.is_absent();
                Ok(Attempt::Answered(None))
            }
            Some(found) if found != search.version => {
                search.served.is_there(&found);
                search.version = found;
                Ok(Attempt::Elsewhere)
            }
            Some(_) => Err(ApiError::NotServedYet),
        }
    }

    /// One GET, and a second beside it if that hangs; the first answer of the two.
    async fn get(&self, path: &str, rule: &Rule, deadline: Instant) -> Result<Bytes, ApiError> {
        // The semaphores are never closed, so that there is always a turn to come.
        let _turn = self.turns.acquire().await.ok();
        let first = api::get(&self.client, path, rule);
        tokio::pin!(first);
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(answer) = timeout(HANG_TIMEOUT.min(left / 2), &mut first).await {
            return answer;
        }
        let Ok(_second_turn) = self.second_turns.try_acquire() else {
            return first.await;
        };
        tokio::select! {
            answer = first => answer,
            answer = api::get(&self.client, path, rule) => answer,
        }
    }

    /// The version in which the kind is served; `None` when it is not installed.
    ///
    /// The list of groups goes first: it is an answer that only an API server gives, so an address
    /// that has nothing at all under any path is not taken for a cluster without the kind.
    async fn discover(
        &self,
        target: &Target<'_>,
        deadline: Instant,
    ) -> Result<Option<String>, ApiError> {
        let rule = target.rule();
        let groups: GroupList = match self.get_json("/apis", &rule, deadline).await {
            Err(ApiError::NoPath | ApiError::NoObject) => {
                let (path, source) = ("/apis".to_owned(), MalformedAnswer::NotFound);
                return Err(ApiError::NotAnApiServer { path, source });
            }
            groups => groups?,
        };
        let Some(group) = groups.groups.into_iter().find(|group| group.name == GROUP) else {
            return Ok(None);
        };
        let mut versions: Vec<String> = group
            .versions
            .into_iter()
            .map(|GroupVersion { version }| version)
            .collect();
        let preferred = group
            .preferred_version
            .map(|GroupVersion { version }| version)
            .unwrap_or_default();
        versions.sort_by_key(|version| *version != preferred);
        for version in versions
            .into_iter()
            .filter(|version| is_dns_subdomain(version))
        {
            let path = format!("/apis/{GROUP}/{version}");
            match self.get_json::<ResourceList>(&path, &rule, deadline).await {
                Ok(list)
                    if list
                        .resources
                        .iter()
                        .any(|resource| resource.name == target.kind.plural()) =>
                {
                    return Ok(Some(version));
                }
                Ok(_) | Err(ApiError::NoPath | ApiError::NoObject) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn get_json<T: for<'j> Deserialize<'j>>(
        &self,
        path: &str,
        rule: &Rule,
        deadline: Instant,
    ) -> Result<T, ApiError> {
        let json = self.get(path, rule, deadline).await?;
        serde_json::from_slice(&json).map_err(|error| ApiError::NotAnApiServer {
            path: path.to_owned(),
            source: error.into(),
        })
    }
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookups")
    }
}

impl Target<'_> {
    fn path(&self, version: &str, freshness: Freshness) -> String {
        let Self {
            kind,
            namespace,
            name,
            uid: _,
        } = self;
        let query = match freshness {
            Freshness::Cached => "?resourceVersion=0",
            Freshness::Latest => "",
        };
        format!(
            "/apis/{GROUP}/{version}/namespaces/{namespace}/{}/{name}{query}",
            kind.plural()
        )
    }

    fn rule(&self) -> Rule {
        let namespace = Some(self.namespace.to_owned());
        Rule {
            verbs: "get",
            resource: self.kind.plural(),
            group: GROUP,
            namespace,
        }
    }

    fn describe(&self) -> String {
        format!(
            "cannot look up the {} {}/{}",
            self.kind.as_str(),
            self.namespace,
            self.name
        )
    }
}

impl Search<'_> {
    fn gave_up(&self, why: &str) -> LookupError {
        let times = if self.attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{} attempts", self.attempts)
        };
        LookupError::Transient(format!("{}: {why} ({times})", self.target.describe()))
    }
}

/// Why an attempt was cut short, with what went wrong `before` it.
fn late(before: Option<&ApiError>) -> String {
    let late = "the API server did not answer in time";
    before.map_or_else(
        || late.to_owned(),
        |before| format!("{before}; then {late}"),
    )
}

impl ServedKind {
    fn new(kind: KruiseKind) -> Self {
        Self {
            kind,
            known: Mutex::new(Known {
                version: VERSION.to_owned(),
                absent_until: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version to request; `None` while the kind is believed not to be installed. When that
    /// belief is old, one caller is sent to look, and the others wait for what it finds without
    /// asking themselves.
    fn version(&self) -> Option<String> {
        let mut known = self.lock();
        if let Some(until) = &mut known.absent_until {
            let now = Instant::now();
            if now < *until {
                return None;
            }
            *until = now + ABSENCE_TTL;
        }
        Some(known.version.clone())
    }

    fn is_there(&self, version: &str) {
        let mut known = self.lock();
        if known.version != version {
            version.clone_into(&mut known.version);
        }
        if known.absent_until.take().is_some() {
            tracing::info!(
                kind = self.kind.as_str(),
                version,
                "the kind is now installed; look-ups are enabled"
            );
        }
    }

    fn is_absent(&self) {
        let mut known = self.lock();
        if known
            .absent_until
            .replace(Instant::now() + ABSENCE_TTL)
            .is_none()
        {
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
    versions: Vec<GroupVersion>,
    #[serde(default)]
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
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
