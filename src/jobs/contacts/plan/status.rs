//! The merge of the status. It moves towards less mail only: a sync never subscribes anybody again.

use crate::engine::model::contacts::shadow::Agreed;
use crate::engine::model::contacts::subscriber::MailStatus;

/// The outcome for both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusPlan {
    /// The status that the database gets.
    pub to_a: Option<MailStatus>,
    /// The person is unsubscribed at MailerLite.
    pub unsubscribe: bool,
    /// The person subscribed again at MailerLite, and somebody must decide whether the database
    /// follows.
    pub hold: bool,
    /// No mail may be sent to the person, so that they join no group.
    pub refuses_mail: bool,
}

/// Merges the status. `came_back` says that the person subscribed at MailerLite after the
/// agreement, and `accept` that the database follows then.
pub fn merge(
    base: Option<&Agreed<MailStatus>>,
    a: MailStatus,
    b: MailStatus,
    came_back: bool,
    accept: bool,
) -> StatusPlan {
    let floor = base.map_or(MailStatus::Active, |base| base.a.max(base.b));
    let opted_out_since = base.is_none_or(|base| a > base.a);
    let is_return = b == MailStatus::Active && floor.refuses_mail() && came_back;
    if is_return && !(a.refuses_mail() && opted_out_since) {
        let to_a = (accept && a.refuses_mail()).then_some(MailStatus::Active);
        return StatusPlan { to_a, hold: !accept, refuses_mail: !accept, unsubscribe: false };
    }
    let target = a.max(b).max(floor);
    let refuses_mail = target.refuses_mail();
    StatusPlan {
        to_a: (refuses_mail && !a.refuses_mail()).then_some(target),
        unsubscribe: refuses_mail && !b.refuses_mail(),
        hold: false,
        refuses_mail,
    }
}

#[cfg(test)]
mod tests {
    use super::MailStatus::*;
    use super::*;

    fn agreed(a: MailStatus, b: MailStatus) -> Agreed<MailStatus> {
        Agreed { a, b }
    }

    fn all() -> impl Iterator<Item = (Option<Agreed<MailStatus>>, MailStatus, MailStatus)> {
        let pairs = MailStatus::ALL.iter().flat_map(|a| MailStatus::ALL.iter().map(|b| (*a, *b)));
        let pairs: Vec<_> = pairs.collect();
        let bases: Vec<_> =
            std::iter::once(None).chain(pairs.iter().map(|(a, b)| Some(agreed(*a, *b)))).collect();
        bases
            .into_iter()
            .flat_map(move |base| pairs.clone().into_iter().map(move |(a, b)| (base.clone(), a, b)))
    }

    #[test]
    fn a_person_who_left_on_one_side_leaves_the_other() {
        let base = agreed(Active, Active);
        let here = merge(Some(&base), Unsubscribed, Active, false, false);
        assert!(here.unsubscribe && here.to_a.is_none() && here.refuses_mail);
        let there = merge(Some(&base), Active, Unsubscribed, false, false);
        assert!(!there.unsubscribe && there.to_a == Some(Unsubscribed) && there.refuses_mail);
    }

    #[test]
    fn no_merge_subscribes_anybody_whatever_the_sides_say() {
        for (base, a, b) in all() {
            let plan = merge(base.as_ref(), a, b, false, true);
            let left = base.iter().any(|base| base.a.refuses_mail() || base.b.refuses_mail());
            if left || a.refuses_mail() || b.refuses_mail() {
                assert!(plan.refuses_mail, "{base:?} {a:?} {b:?}");
                assert!(b.refuses_mail() || plan.unsubscribe, "{base:?} {a:?} {b:?}");
                assert!(a.refuses_mail() || plan.to_a.is_some(), "{base:?} {a:?} {b:?}");
            }
            assert!(plan.to_a.is_none_or(|status| status > a), "{base:?} {a:?} {b:?}");
        }
    }

    #[test]
    fn applied_twice_it_changes_nothing() {
        for (base, a, b) in all() {
            let plan = merge(base.as_ref(), a, b, false, false);
            let a = plan.to_a.unwrap_or(a);
            let b = if plan.unsubscribe { Unsubscribed } else { b };
            let again = merge(Some(&agreed(a, b)), a, b, false, false);
            assert_eq!((again.to_a, again.unsubscribe), (None, false), "{base:?} {a:?} {b:?}");
        }
    }

    #[test]
    fn a_person_who_comes_back_is_held_or_accepted_and_never_unsubscribed() {
        let base = agreed(Unsubscribed, Unsubscribed);
        let held = merge(Some(&base), Unsubscribed, Active, true, false);
        assert!(held.hold && !held.unsubscribe && held.to_a.is_none());
        let accepted = merge(Some(&base), Unsubscribed, Active, true, true);
        assert!(accepted.to_a == Some(Active) && !accepted.hold && !accepted.refuses_mail);
    }

    #[test]
    fn a_person_who_left_here_after_the_agreement_is_not_taken_for_one_who_came_back() {
        let base = agreed(Active, Unsubscribed);
        let plan = merge(Some(&base), Unsubscribed, Active, true, true);
        assert!(plan.unsubscribe && plan.to_a.is_none());
    }

    #[test]
    fn nobody_is_confirmed_by_a_sync() {
        let plan = merge(None, Active, Unconfirmed, false, false);
        assert_eq!(plan, StatusPlan::default());
    }
}
