//! sandbox-injector: storage and runtime sidecars for agent-sandbox pods.
//!
//! One engine, two ways in: the webhook, called by the API server, and the offline verbs, called by
//! people. The engine is a crate of its own ([`engine`]), whose front page shows how a review
//! becomes a patch. This crate connects it to the world: sockets, files, clocks and the cluster are
//! here and nowhere else.
//!
//! ```text
//!   API server                                       manifests, saved reviews and pods
//!       │ HTTPS                                                     │ -f
//!   ┌───▼────────────────────────────┐                   ┌──────────▼──────────┐
//!   │ server  listener, limits,      │                   │ cli  dry-run, check,│
//!   │ tls     drain, probes          │                   │      stale          │
//!   └───┬────────────────────────────┘                   └──────────┬──────────┘
//!       │ bytes                                                     │ pods
//!   ┌───▼────────────┐      ┌───────────────────────────────────────▼─────────────────┐
//!   │ serve::webhook ├─────►│ engine   decode ► decide ► respond                      │
//!   │ metrics        │◄─────┤            │ questions  ▲ answers      (no I/O, no clock)│
//!   │ telemetry      │      └────────────┼────────────┼────────────────▲──────────────┘
//!   └───▲────────────┘      ┌────────────▼────────────┴───┐            │
//!       │                   │ cluster::settle  ► lookups  │─► GET      │ compiled runtimes
//!       │ current           └─────────────────────────────┘            │
//!   ┌───┴──────────────────────────────────────────────────────────────┴──────────────┐
//!   │ serve::store  the configuration in use: read, checked and compiled as a whole    │
//!   └───▲──────────────────────────────────────────────────────────────────────────────┘
//!       │ serve::follow
//!       ├── source, watch         a directory, a file, or the built-in default
//!       └── cluster::config_map   a ConfigMap, watched through the API
//! ```
//!
//! Imports run downwards only. Every module may use the engine.
//!
//! | floor | modules | what is there |
//! |---|---|---|
//! | 6 | [`cli`] | a thin file per verb; flags, output, exit codes |
//! | 5 | [`serve`] | the webhook in service: the store, what keeps it fresh, reviews answered, counted and logged |
//! | 4 | [`server`] | sockets, limits, probes, drain; it knows nothing of pods |
//! | 3 | [`cluster`] | owner look-ups, the watched ConfigMap, the node's region, the list of pods |
//! | 3 | [`tls`] | certificates and client CAs, reloaded |
//! | 2 | [`source`] | where a configuration is read from |
//! | 1 | [`certs`], [`metrics`], [`readiness`], [`telemetry`], [`watch`], [`duration`] | certificates made here; counters; named gates; logging; the one user of file notifications; Go's durations |

pub mod certs;
pub mod cli;
pub mod cluster;
pub mod duration;
pub mod metrics;
mod mounted;
pub mod readiness;
pub mod serve;
pub mod server;
pub mod source;
pub mod telemetry;
pub mod tls;
pub mod watch;
