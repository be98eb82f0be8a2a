//! Merges of one value: the cases of the design, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value {
    (!text.is_empty()).then(|| text.to_owned())
}

fn agreed(a: &str, b: &str) -> Agreed<Value> {
    Agreed { a: value(a), b: value(b) }
}

fn rule(direction: Direction, conflict: ConflictPolicy, emptied: EmptiedValue) -> FieldRule {
    FieldRule { direction, conflict, emptied, ..FieldRule::plain("first_name", "name") }
}

fn to_a(text: &str) -> FieldMove {
    FieldMove::ToA(value(text))
}

fn to_b(text: &str) -> FieldMove {
    FieldMove::ToB(value(text))
}

#[test]
fn values_that_either_side_may_change_follow_the_side_that_changed() {
    use FieldMove::{Hold, Keep};
    let rule = FieldRule::plain("first_name", "name");
    let cases = [
        (Some(agreed("x", "x")), "x", "x", Keep),
        (Some(agreed("x", "x")), "y", "x", to_b("y")),
        (Some(agreed("x", "x")), "x", "y", to_a("y")),
        (Some(agreed("x", "x")), "y", "y", Keep),
        (Some(agreed("x", "x")), "y", "z", Hold(ConflictKind::BothChanged)),
        (Some(agreed("x", "x")), "", "x", Keep),
        (Some(agreed("x", "x")), "x", "", Keep),
        (Some(agreed("x", "x")), "", "z", to_a("z")),
        (Some(agreed("x", "x")), "z", "", to_b("z")),
        (None, "x", "x", Keep),
        (None, "x", "", to_b("x")),
        (None, "", "x", to_a("x")),
        (None, "x", "y", Hold(ConflictKind::First)),
    ];
    for (base, a, b, outcome) in cases {
        let merged = merge(&rule, base.as_ref(), &value(a), &value(b), None);
        assert_eq!(merged, outcome, "{base:?} {a:?} {b:?}");
    }
}

#[test]
fn an_owner_restores_what_the_other_side_changed() {
    let (hold, keep) = (ConflictPolicy::Hold, EmptiedValue::Keep);
    let base = agreed("x", "x");
    for (a, b) in [("x", "y"), ("x", "")] {
        let rule = rule(Direction::ToMailerLite, hold, keep);
        assert_eq!(merge(&rule, Some(&base), &value(a), &value(b), None), to_b("x"));
        let rule = FieldRule { direction: Direction::FromMailerLite, ..rule };
        assert_eq!(merge(&rule, Some(&base), &value(b), &value(a), None), to_a("x"));
    }
}

#[test]
fn an_owner_that_has_nothing_empties_nobody_at_first() {
    for emptied in [EmptiedValue::Keep, EmptiedValue::Clear] {
        let rule = rule(Direction::ToMailerLite, ConflictPolicy::Hold, emptied);
        assert_eq!(merge(&rule, None, &None, &value("x"), None), FieldMove::Keep);
    }
}

#[test]
fn an_emptied_value_empties_the_other_side_only_if_that_is_asked_for() {
    let base = agreed("x", "x");
    let keep = rule(Direction::Both, ConflictPolicy::Hold, EmptiedValue::Keep);
    assert_eq!(merge(&keep, Some(&base), &None, &value("x"), None), FieldMove::Keep);
    let clear = rule(Direction::Both, ConflictPolicy::Hold, EmptiedValue::Clear);
    assert_eq!(merge(&clear, Some(&base), &None, &value("x"), None), FieldMove::ToB(None));
    let held = FieldMove::Hold(ConflictKind::BothChanged);
    assert_eq!(merge(&clear, Some(&base), &None, &value("y"), None), held);
}

#[test]
fn a_policy_decides_where_both_sides_changed() {
    let base = agreed("x", "x");
    let (a, b) = (value("y"), value("z"));
    let by = |conflict, newer| {
        merge(&rule(Direction::Both, conflict, EmptiedValue::Keep), Some(&base), &a, &b, newer)
    };
    assert_eq!(by(ConflictPolicy::Database, None), to_b("y"));
    assert_eq!(by(ConflictPolicy::MailerLite, None), to_a("z"));
    assert_eq!(by(ConflictPolicy::Newest, Some(ContactSide::A)), to_b("y"));
    assert_eq!(by(ConflictPolicy::Newest, Some(ContactSide::B)), to_a("z"));
    let held = FieldMove::Hold(ConflictKind::BothChanged);
    assert_eq!(by(ConflictPolicy::Newest, None), held);
}

#[test]
fn a_side_that_spells_a_value_in_its_own_way_has_not_changed_it() {
    let rule = FieldRule::plain("phone", "phone");
    let base = agreed("+1 (555) 01", "+155501");
    let merged = merge(&rule, Some(&base), &value("+1 (555) 01"), &value("+155501"), None);
    assert_eq!(merged, FieldMove::Keep);
    let changed = merge(&rule, Some(&base), &value("+1 (555) 02"), &value("+155501"), None);
    assert_eq!(changed, to_b("+1 (555) 02"));
}

#[test]
fn null_and_empty_and_space_and_compositions_are_one_value() {
    let rule = FieldRule::plain("first_name", "name");
    for (a, b) in [(None, Some("")), (Some(" Ann "), Some("Ann")), (Some("e\u{301}"), Some("é"))] {
        let (a, b) = (a.map(str::to_owned), b.map(str::to_owned));
        assert_eq!(merge(&rule, None, &a, &b, None), FieldMove::Keep, "{a:?} {b:?}");
    }
}

#[test]
fn values_are_written_as_the_other_side_calls_them() {
    let values = [("pro_2024", "Pro"), ("free", "Free")];
    let values = values.map(|(column, field)| (column.to_owned(), field.to_owned())).into();
    let rule = FieldRule { values, ..FieldRule::plain("plan", "plan") };
    let base = agreed("free", "Free");
    let merged = |a: &str, b: &str| merge(&rule, Some(&base), &value(a), &value(b), None);
    assert_eq!(merged("free", "Free"), FieldMove::Keep);
    assert_eq!(merged("pro_2024", "Free"), to_b("Pro"));
    assert_eq!(merged("free", "Pro"), to_a("pro_2024"));
    assert_eq!(merged("gold", "Free"), FieldMove::SetApart(SetApart::Unmapped));
    let rule = FieldRule { default: value("Free"), ..rule.clone() };
    assert_eq!(merge(&rule, Some(&base), &value("gold"), &value("Free"), None), FieldMove::Keep);
    let mut twice = rule.clone();
    twice.values.insert("pro_2025".into(), "Pro".into());
    let merged = merge(&twice, Some(&base), &value("free"), &value("Pro"), None);
    assert_eq!(merged, FieldMove::SetApart(SetApart::Unmapped), "either column value may be meant");
}

#[test]
fn a_value_that_is_too_long_is_set_apart_and_never_cut() {
    let rule = FieldRule { max_length: Some(3), ..FieldRule::plain("note", "note") };
    let merged = merge(&rule, None, &value("ééé"), &None, None);
    assert_eq!(merged, to_b("ééé"));
    let merged = merge(&rule, None, &value("éééé"), &None, None);
    assert_eq!(merged, FieldMove::SetApart(SetApart::TooLong(3)));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(None), "[xyz ]{0,2}".prop_map(Some)]
}

fn any_rule() -> impl Strategy<Value = FieldRule> {
    let direction = prop_oneof![
        Just(Direction::Both),
        Just(Direction::ToMailerLite),
        Just(Direction::FromMailerLite)
    ];
    let policy = || {
        prop_oneof![
            Just(ConflictPolicy::Database),
            Just(ConflictPolicy::MailerLite),
            Just(ConflictPolicy::Newest),
            Just(ConflictPolicy::Hold)
        ]
    };
    let emptied = prop_oneof![Just(EmptiedValue::Keep), Just(EmptiedValue::Clear)];
    (direction, policy(), policy(), emptied, any::<bool>()).prop_map(
        |(direction, conflict, first, emptied, trim)| FieldRule {
            direction,
            conflict,
            first,
            emptied,
            trim,
            ..FieldRule::plain("first_name", "name")
        },
    )
}

fn any_base() -> impl Strategy<Value = Option<Agreed<Value>>> {
    proptest::option::of((any_value(), any_value()).prop_map(|(a, b)| Agreed { a, b }))
}

fn any_newer() -> impl Strategy<Value = Option<ContactSide>> {
    proptest::option::of(prop_oneof![Just(ContactSide::A), Just(ContactSide::B)])
}

/// The rule for the sides exchanged.
fn mirrored(rule: &FieldRule) -> FieldRule {
    let policy = |policy| match policy {
        ConflictPolicy::Database => ConflictPolicy::MailerLite,
        ConflictPolicy::MailerLite => ConflictPolicy::Database,
        other => other,
    };
    let direction = match rule.direction {
        Direction::Both => Direction::Both,
        Direction::ToMailerLite => Direction::FromMailerLite,
        Direction::FromMailerLite => Direction::ToMailerLite,
    };
    let (conflict, first) = (policy(rule.conflict), policy(rule.first));
    FieldRule { direction, conflict, first, ..rule.clone() }
}

proptest! {
    #[test]
    fn exchanged_sides_get_exchanged_values(
        rule in any_rule(), base in any_base(), a in any_value(), b in any_value(),
        newer in any_newer(),
    ) {
        let other = base.clone().map(|base| Agreed { a: base.b, b: base.a });
        let older = newer.map(|newer| match newer {
            ContactSide::A => ContactSide::B,
            ContactSide::B => ContactSide::A,
        });
        let exchanged = match merge(&mirrored(&rule), other.as_ref(), &b, &a, older) {
            FieldMove::ToA(value) => FieldMove::ToB(value),
            FieldMove::ToB(value) => FieldMove::ToA(value),
            same => same,
        };
        prop_assert_eq!(merge(&rule, base.as_ref(), &a, &b, newer), exchanged);
    }

    #[test]
    fn a_merge_that_is_applied_leaves_nothing_to_do(
        rule in any_rule(), base in any_base(), a in any_value(), b in any_value(),
        newer in any_newer(),
    ) {
        let (a, b) = match merge(&rule, base.as_ref(), &a, &b, newer) {
            FieldMove::Keep => (a, b),
            FieldMove::ToA(value) => (value, b),
            FieldMove::ToB(value) => (a, value),
            FieldMove::Hold(_) | FieldMove::SetApart(_) => return Ok(()),
        };
        let after = Agreed { a: a.clone(), b: b.clone() };
        prop_assert_eq!(merge(&rule, Some(&after), &a, &b, newer), FieldMove::Keep);
    }

    #[test]
    fn a_value_that_nobody_changed_is_never_written(
        rule in any_rule(), base in any_base(), newer in any_newer(),
    ) {
        let Some(base) = base else { return Ok(()) };
        let merged = merge(&rule, Some(&base), &base.a, &base.b, newer);
        prop_assert_eq!(merged, FieldMove::Keep);
    }

    #[test]
    fn no_value_is_lost_that_one_side_alone_wrote(
        base in any_value(), a in "[xyz]{1,2}", newer in any_newer(),
    ) {
        let rule = FieldRule::plain("first_name", "name");
        let before = Agreed { a: base.clone(), b: base.clone() };
        let merged = merge(&rule, Some(&before), &Some(a.clone()), &base, newer);
        let expected = match rule.is_same(&Some(a.clone()), &base) {
            true => FieldMove::Keep,
            false => FieldMove::ToB(Some(a)),
        };
        prop_assert_eq!(merged, expected);
    }
}
