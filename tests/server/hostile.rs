//! Bad input over real TLS: whatever is sent, it is answered or closed as the tables say, nothing
//! panics, and the next good review is served.

mod body;
mod exchange;
mod framing;
mod heads;
mod json;
mod tls;
mod verdict;
