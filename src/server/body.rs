//! Reads a request's body into one buffer, within a size and within what all requests together may
//! hold.
//!
//! Only bytes that have arrived count, so that a client that announces much and sends nothing takes
//! nothing from the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

/// The largest buffer allocated on a client's word; it grows as the bytes arrive.
const MAX_TRUSTED_BYTES: usize = 1 << 20;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than allowed; the rest was not read.
    TooLarge,
    /// All requests together hold as much as they may; the rest was not read.
    Overloaded,
    /// The client went away or framed the body badly.
    Broken,
}

/// Bytes that all requests of a listener may hold together.
#[derive(Debug)]
pub(super) struct BodyBudget {
    limit: usize,
    used: AtomicUsize,
}

/// A request's part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    budget: &'a BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    fn hold(&self) -> Hold<'_> {
        Hold {
            budget: self,
            bytes: 0,
        }
    }
}

impl Hold<'_> {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.limit {
            Err(BodyError::Overloaded)
        } else {
            Ok(())
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The whole body, and the hold to keep for as long as the body lives. A body of one frame is not
/// copied.
pub(super) async fn collect(
    mut body: Body,
    largest: usize,
    budget: &BodyBudget,
) -> Result<(Bytes, Hold<'_>), BodyError> {
    let announced = body
        .size_hint()
        .exact()
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > largest) {
        return Err(BodyError::TooLarge);
    }
    let mut hold = budget.hold();
    let Some(first) = next(&mut body, 0, largest, &mut hold).await? else {
        return Ok((Bytes::new(), hold));
    };
    if announced == Some(first.len()) {
        return Ok((first, hold));
    }
    let Some(second) = next(&mut body, first.len(), largest, &mut hold).await? else {
        return Ok((first, hold));
    };
    let mut whole = Vec::with_capacity(
        announced
            .unwrap_or(0)
            .min(MAX_TRUSTED_BYTES)
            .max(first.len() + second.len()),
    );
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    drop((first, second));
    while let Some(data) = next(&mut body, whole.len(), largest, &mut hold).await? {
        if whole.capacity() - whole.len() < data.len()
            && let Some(announced) = announced
        {
            whole.reserve_exact(announced.saturating_sub(whole.len()));
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.into(), hold))
}

/// The next data of a body of which `had` bytes have arrived already; nothing at its end.
async fn next(
    body: &mut Body,
    had: usize,
    largest: usize,
    hold: &mut Hold<'_>,
) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        // Trailers carry nothing for us.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue;
        };
        if had + data.len() > largest {
            return Err(BodyError::TooLarge);
        }
        if !data.is_empty() {
            hold.grow(data.len())?;
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_budget_is_given_back() {
        let budget = BodyBudget::new(10);
        let first = collect(Body::from("12345678"), 100, &budget).await.unwrap();
        assert_eq!(
            collect(Body::from("123"), 100, &budget).await.unwrap_err(),
            BodyError::Overloaded
        );
        drop(first);
        assert_eq!(
            collect(Body::from("1234567890"), 100, &budget)
                .await
                .unwrap()
                .0,
            "1234567890"
        );
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_is_as_large_as_allowed_and_no_larger() {
        let budget = BodyBudget::new(100);
        assert_eq!(
            collect(Body::from("12345"), 5, &budget).await.unwrap().0,
            "12345"
        );
        assert_eq!(
            collect(Body::from("123456"), 5, &budget).await.unwrap_err(),
            BodyError::TooLarge
        );
        assert_eq!(collect(Body::empty(), 5, &budget).await.unwrap().0, "");
    }
}
