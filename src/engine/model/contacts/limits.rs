//! The most changes of each kind that a run may make without a person's word.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::model::named::named;

named! {
    /// A kind of change.
    ChangeKind {
        /// A person is made on the other side.
        Create = "create",
        /// Values are written to either side.
        Update = "update",
        /// A person is unsubscribed on either side.
        Unsubscribe = "unsubscribe",
        /// A person joins a group, which can start automations.
        JoinGroup = "join_group",
        /// A person leaves a group.
        LeaveGroup = "leave_group",
        /// A person cannot be written.
        Rejected = "rejected",
    }
}

/// A cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many people.
    People(u64),
    /// So many people of a hundred, and one at least.
    Percent(u8),
}

/// The reason why a text is no cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A limit is a number of people, as in 500, or a share of all, as in 20%")]
pub struct BadLimit;

impl Limit {
    /// Reads a cap.
    pub fn parse(text: &str) -> Result<Self, BadLimit> {
        let text = text.trim();
        match text.strip_suffix('%') {
            Some(share) => match share.trim().parse() {
                Ok(share @ 0..=100) => Ok(Self::Percent(share)),
                _ => Err(BadLimit),
            },
            None => text.parse().map(Self::People).map_err(|_| BadLimit),
        }
    }

    /// The number of people that it allows, of so many in all.
    pub fn of(self, people: u64) -> u64 {
        match self {
            Self::People(most) => most,
            Self::Percent(0) => 0,
            Self::Percent(share) => (people * u64::from(share) / 100).max(1),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::People(most) => write!(f, "{most}"),
            Self::Percent(share) => write!(f, "{share} %"),
        }
    }
}

/// The caps of every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The caps by kind.
    pub by_kind: BTreeMap<ChangeKind, Limit>,
    /// The most people that smart syncs write in a day.
    pub per_day: u64,
}

impl Default for Limits {
    /// The caps where the settings name none. Joining a group can send mail to each person, so it
    /// is capped as making people is.
    fn default() -> Self {
        let by_kind = [
            (ChangeKind::Create, Limit::People(500)),
            (ChangeKind::Update, Limit::Percent(20)),
            (ChangeKind::Unsubscribe, Limit::Percent(2)),
            (ChangeKind::JoinGroup, Limit::People(500)),
            (ChangeKind::LeaveGroup, Limit::Percent(5)),
            (ChangeKind::Rejected, Limit::Percent(5)),
        ];
        Self { by_kind: by_kind.into(), per_day: 5000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        let cases = [
            ("500", Ok(Limit::People(500))),
            (" 20% ", Ok(Limit::Percent(20))),
            ("20 %", Ok(Limit::Percent(20))),
            ("0", Ok(Limit::People(0))),
            ("101%", Err(BadLimit)),
            ("-1", Err(BadLimit)),
            ("many", Err(BadLimit)),
            ("", Err(BadLimit)),
        ];
        for (text, limit) in cases {
            assert_eq!(Limit::parse(text), limit, "{text}");
        }
    }

    #[test]
    fn nobody_may_change_where_the_share_is_nothing() {
        assert_eq!(Limit::Percent(0).of(10_000), 0);
    }
}
