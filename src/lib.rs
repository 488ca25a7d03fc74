//! sandbox-injector: storage and runtime sidecars for agent-sandbox pods.
//!
//! One engine, two ways in: the webhook, called by the API server, and the dry run, called by people.
//!
//! ```text
//!   API server                                                        manifests, recorded reviews
//!       │ HTTPS                                                                  │
//!   ┌───▼────────────────────────┐                                    ┌──────────▼──────────┐
//!   │ server   listener, TLS,    │                                    │ cli::dry_run        │
//!   │          limits, probes    │                                    │  yaml ─► workload   │
//!   └───┬────────────────────────┘                                    └──────────┬──────────┘
//!       │ bytes                                                                  │ pod
//!   ┌───▼─────┐  ┌──────────────────────────── review ───────────────────────────▼──────────┐
//!   │ webhook ├─►│ request ─────► verdict::decide ──────────────────────────────► response  │─► bytes
//!   │ metrics │  │ (bytes to      │                │              │               (bytes,   │
//!   │ log     │  │  pod view)     ▼                ▼              ▼                base64)  │
//!   └───▲─────┘  │            runtimes          policy         inject ─► patch              │
//!       │        │            who decides       who may ask    pure engine                  │
//!       │        └────────────────────────────────────────────────▲─────────────────────────┘
//!       │ current                                                  │ compiled runtimes
//!   ┌───┴───────────────────────── config ─────────────────────────┴──┐
//!   │ source ─► check (schema, names) ─► region ─► compile ─► store   │◄─ watch (files), cluster (ConfigMap)
//!   └─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Imports run downwards only:
//!
//! | floor | modules | what is there |
//! |---|---|---|
//! | 6 | [`cli`] | a thin file a verb; exit codes |
//! | 5 | [`server`], [`webhook`] | sockets, TLS, limits; reviews answered, counted, logged |
//! | 4 | [`review`], [`validate`] | bytes to verdict to bytes, without sockets |
//! | 4 | [`cluster`] | look-ups, the watched ConfigMap, the node's region |
//! | 3 | [`inject`], [`runtimes`], [`policy`] | the pure engine; who decides which runtimes; who may have privileged ones |
//! | 3 | [`uninject`], [`changes`] | what was injected taken out again, and what differs: for comparisons |
//! | 2 | [`config`], [`workload`] | the checked and compiled configuration; pods out of templates |
//! | 1 | [`pod`], [`normal`], [`chain`], [`patch`], [`quantity`], [`pattern`], [`duration`], [`printable`], [`yaml`] | views, normal forms and formats |
//! | 1 | [`watch`], [`readiness`], [`metrics`], [`telemetry`], [`certs`] | the one user of file notifications; gates; counters; logging; certificates |

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
