//! The writers: transactions that were open at a survey, and may still write behind what was read.
//!
//! A primary lists them one by one. A standby lists none of them; it knows the numbers that its
//! primary has given out, and up to which of them all have ended. So its one entry is a span.

use std::collections::BTreeSet;

/// A transaction of the source that was open when it was looked at: a virtual transaction id, or
/// the name of a prepared transaction behind [`PREPARED`]. For a standby, the numbers behind
/// [`NUMBERED`] from which on a transaction may be open, and from which on none had begun.
pub type Writer = String;

/// The beginning of the name of a prepared transaction.
pub const PREPARED: &str = "prepared ";

/// The beginning of the span of a standby; `numbers 740 to 743` says that everybody before 740 has
/// ended, and that 743 is the next to begin. A standby always has one, also of equal numbers.
pub const NUMBERED: &str = "numbers ";

/// Says whether nobody has a transaction open.
pub fn is_nobody(open: &BTreeSet<Writer>) -> bool {
    open.iter().all(|writer| span(writer).is_some_and(|(from, to)| from >= to))
}

/// Says whether all of these writers have ended, given who is open now. A writer that prepares its
/// transaction goes on under another name, so no writer counts as ended while any prepared
/// transaction is open. A primary cannot tell of numbers, nor a standby of names: what the one
/// knows the other answers when nobody is open there, or not at all.
pub fn have_ended(writers: &BTreeSet<Writer>, open: &BTreeSet<Writer>) -> bool {
    let prepared = || open.iter().any(|writer| writer.starts_with(PREPARED));
    match (numbers(writers), numbers(open)) {
        _ if writers.is_empty() => true,
        (None, None) => writers.is_disjoint(open) && !prepared(),
        (Some((_, to)), Some((from, _))) => from >= to,
        (Some(_), None) => open.is_empty(),
        (None, Some(_)) => false,
    }
}

/// Says whether the writers of two surveys can be compared: both were at a primary, or at a
/// standby.
pub fn is_comparable(writers: &BTreeSet<Writer>, open: &BTreeSet<Writer>) -> bool {
    numbers(writers).is_some() == numbers(open).is_some()
}

/// Those who were seen and may be open still, given who is open now. One that was seen may have
/// prepared its transaction meanwhile.
pub fn still_open(seen: &BTreeSet<Writer>, now: BTreeSet<Writer>) -> BTreeSet<Writer> {
    match (numbers(seen), numbers(&now)) {
        (Some((_, to)), Some((from, _))) => BTreeSet::from([numbered(from, to)]),
        _ => {
            let is_left = |writer: &Writer| seen.contains(writer) || writer.starts_with(PREPARED);
            now.into_iter().filter(is_left).collect()
        }
    }
}

fn numbered(from: u64, to: u64) -> Writer {
    format!("{NUMBERED}{from} to {to}")
}

fn numbers(writers: &BTreeSet<Writer>) -> Option<(u64, u64)> {
    writers.iter().find_map(|writer| span(writer))
}

fn span(writer: &str) -> Option<(u64, u64)> {
    let (from, to) = writer.strip_prefix(NUMBERED)?.split_once(" to ")?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Writer> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_writer_has_ended_when_it_is_not_listed_and_nothing_is_prepared() {
        for (writers, open, ended) in [
            (&[][..], &["3/1"][..], true),
            (&["3/1"], &[], true),
            (&["3/1"], &["3/2"], true),
            (&["3/1"], &["3/1", "3/2"], false),
            (&["3/1"], &["prepared x"], false),
        ] {
            assert_eq!(have_ended(&set(writers), &set(open)), ended, "{writers:?} {open:?}");
        }
    }

    #[test]
    fn numbers_have_ended_when_all_before_the_next_to_begin_have() {
        for (open, ended) in [
            (&["numbers 740 to 743"][..], false),
            (&["numbers 742 to 900"], false),
            (&["numbers 743 to 743"], true),
            (&["numbers 800 to 900"], true),
            // Another standby that lags behind the one that was asked first.
            (&["numbers 700 to 700"], false),
        ] {
            assert_eq!(have_ended(&set(&["numbers 740 to 743"]), &set(open)), ended, "{open:?}");
        }
    }

    #[test]
    fn a_primary_does_not_answer_for_a_standby_nor_the_other_way_round() {
        let (numbers, names) = (set(&["numbers 740 to 743"]), set(&["3/1"]));
        assert!(!is_comparable(&numbers, &names) && !is_comparable(&names, &numbers));
        assert!(!have_ended(&numbers, &names));
        assert!(!have_ended(&names, &set(&["numbers 900 to 900"])));
        assert!(have_ended(&numbers, &set(&[])), "who was open at a promoted primary was ended");
    }

    #[test]
    fn nobody_is_open_where_no_name_is_and_every_number_has_ended() {
        assert!(is_nobody(&set(&[])));
        assert!(is_nobody(&set(&["numbers 743 to 743"])));
        assert!(!is_nobody(&set(&["numbers 742 to 743"])));
        assert!(!is_nobody(&set(&["3/1"])));
    }

    #[test]
    fn who_came_later_is_not_waited_for() {
        assert_eq!(still_open(&set(&["a", "b"]), set(&["b", "c"])), set(&["b"]));
        assert_eq!(still_open(&set(&["a"]), set(&["prepared a"])), set(&["prepared a"]));
        let later = set(&["numbers 742 to 900"]);
        let left = still_open(&set(&["numbers 740 to 743"]), later);
        assert_eq!(left, set(&["numbers 742 to 743"]));
        let ended = still_open(&set(&["numbers 740 to 743"]), set(&["numbers 800 to 900"]));
        assert!(is_nobody(&ended));
    }
}
