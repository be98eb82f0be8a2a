//! The merge of a membership in one managed group.

use crate::engine::model::contacts::mapping::Membership;

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipMove {
    /// Neither side is written.
    Keep,
    /// The person joins the group. This can start automations, and mails with them.
    Join,
    /// The person leaves the group.
    Leave,
    /// The column of the database gets the value.
    ToA(bool),
}

/// Merges a membership: what was agreed on, what the database wants, what MailerLite has. Nobody
/// joins a group who refuses mail.
///
/// Without an agreement a missing membership is no wish to leave: then either side's membership
/// counts, unless the database owns it.
pub fn merge(
    member: &Membership,
    base: Option<bool>,
    a: bool,
    b: bool,
    refuses_mail: bool,
) -> MembershipMove {
    let to_b = match a {
        true if refuses_mail => MembershipMove::Keep,
        true => MembershipMove::Join,
        false => MembershipMove::Leave,
    };
    match (member, base) {
        _ if a == b => MembershipMove::Keep,
        (Membership::When(_), _) => to_b,
        (Membership::Column(_), Some(base)) if a == base => MembershipMove::ToA(b),
        (Membership::Column(_), Some(_)) => to_b,
        (Membership::Column(_), None) if a => to_b,
        (Membership::Column(_), None) => MembershipMove::ToA(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when() -> Membership {
        Membership::When("is_partner".into())
    }

    fn column() -> Membership {
        Membership::Column("is_partner".into())
    }

    #[test]
    fn a_condition_decides_whatever_was_agreed() {
        for base in [None, Some(false), Some(true)] {
            assert_eq!(merge(&when(), base, true, false, false), MembershipMove::Join);
            assert_eq!(merge(&when(), base, false, true, false), MembershipMove::Leave);
        }
    }

    #[test]
    fn the_side_that_changed_a_column_decides() {
        let cases = [
            (Some(false), true, false, MembershipMove::Join),
            (Some(true), false, true, MembershipMove::Leave),
            (Some(false), false, true, MembershipMove::ToA(true)),
            (Some(true), true, false, MembershipMove::ToA(false)),
        ];
        for (base, a, b, outcome) in cases {
            assert_eq!(merge(&column(), base, a, b, false), outcome, "{base:?} {a} {b}");
        }
    }

    #[test]
    fn nothing_agreed_takes_nobody_out_of_a_group_that_a_column_fills() {
        assert_eq!(merge(&column(), None, true, false, false), MembershipMove::Join);
        assert_eq!(merge(&column(), None, false, true, false), MembershipMove::ToA(true));
    }

    #[test]
    fn nobody_joins_who_refuses_mail_and_anybody_may_leave() {
        for member in [when(), column()] {
            assert_eq!(merge(&member, Some(false), true, false, true), MembershipMove::Keep);
            assert_eq!(merge(&member, Some(true), false, true, true), MembershipMove::Leave);
        }
    }
}
