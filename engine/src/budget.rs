//! How much work a decision may take.
//!
//! The engine has no clock, so the time that a decision takes is bounded by what it does: it
//! charges every item that it reads or compares, and every byte of JSON that it parses, to a budget
//! that the caller gives. When the budget is used up the decision ends in a refusal.

use std::fmt;

/// What a decision may still cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    allowed: Work,
    spent: Work,
}

/// An amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Items read, and items compared with one another.
    pub steps: u64,
    /// Bytes of JSON parsed beside the first reading of a review.
    pub bytes: u64,
}

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("takes more work than one review may ({allowed}); make the pod smaller")]
pub struct Exhausted {
    /// What the decision was allowed to cost.
    pub allowed: Work,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps and {} bytes", self.steps, self.bytes)
    }
}

impl Budget {
    /// A budget of `steps` items and `bytes` of JSON.
    pub const fn new(steps: u64, bytes: u64) -> Self {
        Self {
            allowed: Work { steps, bytes },
            spent: Work { steps: 0, bytes: 0 },
        }
    }

    /// A budget that no pod uses up: offline, where people wait for one answer of their own.
    pub const fn unlimited() -> Self {
        Self::new(u64::MAX, u64::MAX)
    }

    /// Charges `steps` items.
    ///
    /// # Errors
    ///
    /// The budget is used up; the decision has to end.
    pub fn steps(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.charge(steps, 0)
    }

    /// Charges `steps` items, and `bytes` of JSON that are parsed for them.
    ///
    /// # Errors
    ///
    /// The budget is used up; the decision has to end.
    pub fn charge(&mut self, steps: usize, bytes: usize) -> Result<(), Exhausted> {
        let Self { allowed, spent } = self;
        spent.steps = spent.steps.saturating_add(steps as u64);
        spent.bytes = spent.bytes.saturating_add(bytes as u64);
        if spent.steps > allowed.steps || spent.bytes > allowed.bytes {
            return Err(Exhausted { allowed: *allowed });
        }
        Ok(())
    }

    /// What was charged so far.
    pub fn spent(&self) -> Work {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_adds_up_until_the_budget_is_used_up() {
        let mut budget = Budget::new(3, 100);
        budget.charge(2, 60).unwrap();
        budget.steps(1).unwrap();
        assert_eq!(
            budget.spent(),
            Work {
                steps: 3,
                bytes: 60
            }
        );
        assert_eq!(
            budget.clone().steps(1),
            Err(Exhausted {
                allowed: Work {
                    steps: 3,
                    bytes: 100
                }
            })
        );
        assert!(budget.charge(0, 41).is_err());
    }
}
