//! A value of the configuration, ready to be put into any patch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// JSON, and its base64 form padded with trailing white space.
///
/// Base64 turns three bytes into four letters. A value that is padded with spaces to whole threes,
/// which JSON does not mind, can be encoded once and stand wherever whole threes went before it.
///
/// What that saves: where a patch is written as JSON into one buffer and encoded in one go, the
/// answer to `testdata/reviews/01-kruise-sandboxset-pod.json` takes 28,500 instructions on top of
/// 91,100 (31 %), and the answer to `08-kruise-manual-runtime-pod.json` 25,300 on top of 177,500
/// (14 %). Counted from the body to the answer, with the default configuration, as the difference
/// between 1,200 and 200 rounds under `valgrind --tool=callgrind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    json: String,
    encoded: String,
}

impl Fragment {
    /// Makes one of a complete JSON value.
    pub fn new(json: String) -> Self {
        let mut padded = json.clone().into_bytes();
        pad(&mut padded);
        Self {
            json,
            encoded: STANDARD.encode(padded),
        }
    }

    /// The JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The padded JSON in base64, which needs no `=`.
    pub(super) fn encoded(&self) -> &str {
        &self.encoded
    }
}

/// Adds spaces up to whole threes.
pub(super) fn pad(json: &mut Vec<u8>) {
    json.resize(json.len().next_multiple_of(3), b' ');
}
