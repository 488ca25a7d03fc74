//! An API server for tests, over real HTTP: objects with uids and resourceVersions, lists, watches
//! with bookmarks and expiry, custom resources that come and go, webhooks, and whatever may go
//! wrong on the way.
//!
//! It answers as kube-apiserver does where a client can tell the difference: a missing object is a
//! `Status` that names it, a missing kind is `404 page not found`, an expired watch is an event in
//! a 200, and with `resourceVersion=0` the answer comes from a memory that may be made to lag.

mod answer;
mod fault;
pub mod real;
mod store;
mod webhook;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use answer::{Answer, Body};
pub use fault::{Fault, Faults};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::Client;
use sandbox_injector::cluster::Access;
use sandbox_injector::cluster::connect::Surroundings;
use serde_json::{Value, json};
use store::{Path, Store, Target};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::eventually;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
}

/// A running API server. Dropping it stops it.
pub struct ApiServer {
    pub address: SocketAddr,
    state: Arc<State>,
    running: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    store: Mutex<Store>,
    asked: Mutex<Vec<Asked>>,
    faults: Faults,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.abort();
        }
    }
}

impl ApiServer {
    /// Starts on a free port, with the built-in kinds and no objects.
    pub async fn start() -> Self {
        let state = Arc::<State>::default();
        let (address, running) = listen(([127, 0, 0, 1], 0).into(), Arc::clone(&state)).await;
        Self {
            address,
            state,
            running: Mutex::new(Some(running)),
        }
    }

    /// Starts with the kinds of OpenKruise.
    pub async fn with_kruise() -> Self {
        let server = Self::start().await;
        server.install_kruise();
        server
    }

    /// Installs the kinds of OpenKruise.
    pub fn install_kruise(&self) {
        definitions()
            .iter()
            .for_each(|definition| _ = self.put(definition));
    }

    /// The real client.
    pub async fn client(&self) -> Client {
        client(&format!("http://{}", self.address), "").await
    }

    /// Closes the port and cuts every connection.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some(running) = running {
            running.abort();
            let _ = running.await;
        }
        self.store().end_watches();
    }

    /// Starts again on the same port, with the same objects.
    pub async fn restart(&self) {
        self.stop().await;
        let (_, running) = listen(self.address, Arc::clone(&self.state)).await;
        *self.running.lock().unwrap() = Some(running);
    }

    /// Makes something go wrong from now on.
    pub fn fault(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Ends all faults.
    pub fn repair(&self) {
        self.state.faults.clear();
    }

    /// Every request so far whose path contains `part`.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        self.state
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked.path.contains(part))
            .cloned()
            .collect()
    }

    /// Creates or replaces an object; a uid in it is kept.
    pub fn put(&self, object: &Value) -> Value {
        self.store().put(object.clone())
    }

    /// Deletes an object, given by anything that has its kind, namespace and name.
    pub fn delete(&self, object: &Value) {
        let path = self.store().path_of(object);
        assert!(self.store().delete(&path).is_some(), "nothing at {path:?}");
    }

    /// From now on what is asked with `resourceVersion=0` is as it is now.
    pub fn freeze_memory(&self) {
        self.store().freeze();
    }

    /// Forgets all events so far: watches from an old version are expired.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// Sends a bookmark to every watch.
    pub fn bookmark(&self) {
        self.store().bookmark();
    }

    /// Tells every watch that it has expired.
    pub fn expire_watches(&self) {
        self.store().expire_watches();
    }

    /// Cuts every watch in the middle.
    pub fn cut_watches(&self) {
        self.store().cut_watches();
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.store().watches()
    }

    /// Waits until there are so many watches.
    pub async fn expect_watches(&self, count: usize) {
        eventually("watches", async || (self.watches() == count).then_some(())).await;
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.state.store.lock().unwrap()
    }
}

/// The client that the program itself makes with a kubeconfig.
pub async fn client(url: &str, token: &str) -> Client {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let user = if token.is_empty() {
        json!({})
    } else {
        json!({"token": token})
    };
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": true}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let access = Access {
        kubeconfig: Some(path),
        context: None,
    };
    access.required(&Surroundings::default()).await.unwrap()
}

/// The definitions of the OpenKruise kinds.
pub fn definitions() -> Vec<Value> {
    let texts = [
        include_str!("../../../testdata/crds/sandboxes.yaml"),
        include_str!("../../../testdata/crds/sandboxsets.yaml"),
    ];
    texts
        .iter()
        .map(|text| engine::yaml::value(text).unwrap())
        .collect()
}

async fn listen(address: SocketAddr, state: Arc<State>) -> (SocketAddr, JoinHandle<()>) {
    // The port is free the moment the listener before is gone, which an abort does not wait for.
    let listener = eventually("the port", async || TcpListener::bind(address).await.ok()).await;
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn(async move {
        // Aborting this task drops the set and with it every connection.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let state = Arc::clone(&state);
            connections.spawn(async move {
                let service = service_fn(move |request| serve(Arc::clone(&state), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.await;
            });
            while connections.try_join_next().is_some() {}
        }
    });
    (address, running)
}

/// An error closes the connection without an answer.
async fn serve(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let method = head.method.to_string();
    state.asked.lock().unwrap().push(Asked {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
    });
    if let Some(answer) = state.faults.meet(&path, &query).await? {
        return Ok(answer.into_response());
    }
    let body = body
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    let query = Query::parse(&query);
    let answer = match (method.as_str(), Target::parse(&path)) {
        ("GET", Target::Discovery(text)) => Answer::json(200, &text(&state.store.lock().unwrap())),
        (_, Target::Kind(wanted)) if state.store.lock().unwrap().knows(&wanted) => {
            kind(&state, &method, wanted, &query, &body).await
        }
        _ => Answer::no_path(),
    };
    Ok(answer.into_response())
}

async fn kind(state: &State, method: &str, path: Path, query: &Query, body: &[u8]) -> Answer {
    let object = || serde_json::from_slice::<Value>(body).expect("an object");
    match method {
        "GET" if path.name.is_some() => {
            let store = state.store.lock().unwrap();
            let found = store.get(&path, query.version.as_deref() == Some("0"));
            found.map_or_else(
                || Answer::no_object(&path),
                |object| Answer::json(200, &object),
            )
        }
        "GET" if query.watch => Answer::Watch(state.store.lock().unwrap().watch(&path, query)),
        "GET" => Answer::json(200, &state.store.lock().unwrap().list(&path, query)),
        "POST" => {
            let mut object = object();
            object["metadata"].as_object_mut().unwrap().remove("uid");
            if path.plural == "pods" {
                let configurations = state.store.lock().unwrap().webhooks();
                match webhook::mutate(&configurations, &object, path.namespace.as_deref()).await {
                    Ok(mutated) => object = mutated,
                    Err(denied) => return denied,
                }
            }
            let mut store = state.store.lock().unwrap();
            let target = path.named(object["metadata"]["name"].as_str().expect("a name"));
            if store.get(&target, false).is_some() {
                return Answer::status(409, "AlreadyExists", "already exists", &json!({}));
            }
            Answer::json(201, &store.put_at(&target, object))
        }
        "PUT" => Answer::json(200, &state.store.lock().unwrap().put_at(&path, object())),
        "DELETE" => match state.store.lock().unwrap().delete(&path) {
            Some(object) => Answer::json(200, &object),
            None => Answer::no_object(&path),
        },
        _ => Answer::status(
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
            &json!({}),
        ),
    }
}

/// The parameters that are understood.
#[derive(Default)]
struct Query {
    version: Option<String>,
    watch: bool,
    bookmarks: bool,
    name: Option<String>,
    seconds: Option<u64>,
    limit: Option<usize>,
    /// Where a list goes on.
    from: usize,
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = value.replace("%3D", "=").replace("%20", " ");
            match key {
                "resourceVersion" => query.version = Some(value),
                "watch" => query.watch = value == "true" || value == "1",
                "allowWatchBookmarks" => query.bookmarks = value == "true",
                "limit" => query.limit = value.parse().ok(),
                "continue" => query.from = value.strip_prefix("from ").unwrap().parse().unwrap(),
                "timeoutSeconds" => query.seconds = value.parse().ok(),
                "fieldSelector" => {
                    query.name = value.strip_prefix("metadata.name=").map(str::to_owned)
                }
                _ => {}
            }
        }
        query
    }
}
