//! Decides how far the target's sequences are advanced, so that they give out no synced value, and
//! no value of a row that the source has deleted since.

use crate::engine::model::sequence::{Sequence, SequenceStep};

use crate::engine::plan::note::{Note, Weight};

/// The steps of the sequences, and the notes on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequencesPlan {
    /// The sequences that are advanced.
    pub steps: Vec<SequenceStep>,
    /// The sequences that cannot be advanced, and why.
    pub notes: Vec<Note>,
}

/// Plans the steps. A sequence is never set back. It stays as it is if its columns hold no value
/// and its counterpart on the source has given out none.
pub fn plan(source: &[Sequence], target: &[Sequence]) -> SequencesPlan {
    let mut plan = SequencesPlan::default();
    for sequence in target {
        let is_counterpart =
            |other: &&Sequence| other.fills.iter().any(|column| sequence.fills.contains(column));
        plan.add(sequence, &source.iter().filter(is_counterpart).collect::<Vec<_>>());
    }
    plan
}

impl SequencesPlan {
    fn add(&mut self, sequence: &Sequence, counterparts: &[&Sequence]) {
        let name = &sequence.name;
        let mut note = |weight, text: &str, remedy: String| {
            self.notes.push(Note::new(weight, name, text, remedy));
        };
        if sequence.cycles {
            let text = "it begins anew at its end and is left as it is";
            return note(Weight::Info, text, String::new());
        }
        if !sequence.readable {
            let remedy = format!("grant select, update on sequence {name} to that role");
            let text = "the target's role may not read how far it is";
            return note(Weight::Problem, text, remedy);
        }
        for other in counterparts.iter().filter(|other| !other.readable) {
            let text = "the source's role may not read how far its own is, so keys of deleted \
                rows may be given out again";
            let remedy = format!("grant select on sequence {} to that role", other.name);
            note(Weight::Warning, text, remedy);
        }
        match goal(sequence, counterparts).and_then(|goal| step(sequence, goal)) {
            Some(Ok(step)) => self.steps.push(step),
            Some(Err(note)) => self.notes.push(note),
            None => {}
        }
    }
}

/// The step to a value, or the reason why it cannot be made; none if the sequence has reached the
/// value already, or begins after it.
fn step(sequence: &Sequence, goal: i64) -> Option<Result<SequenceStep, Note>> {
    let Sequence { name, increment, min, max, settable, last, first, .. } = sequence;
    let descends = *increment < 0;
    let has_reached = |value: i64| if descends { value <= goal } else { value >= goal };
    let first = first.unwrap_or(if descends { *max } else { *min });
    let begins_after = if descends { first < goal } else { first > goal };
    if begins_after || last.is_some_and(has_reached) {
        return None;
    }
    let problem = |text: &str, remedy| Some(Err(Note::new(Weight::Problem, name, text, remedy)));
    if goal < *min || goal > *max {
        let remedy = format!("alter sequence {name} to end later");
        return problem("what was synced lies beyond its end", remedy);
    }
    if !settable {
        let remedy = format!("grant update on sequence {name} to that role");
        return problem("the target's role may not advance it", remedy);
    }
    Some(Ok(SequenceStep { sequence: name.clone(), from: *last, to: goal, descends }))
}

/// The value furthest in the sequence's direction that its columns hold or that a counterpart has
/// given out. A counterpart that counts in the other direction is ignored.
fn goal(sequence: &Sequence, counterparts: &[&Sequence]) -> Option<i64> {
    let descends = sequence.increment < 0;
    let counterparts = counterparts.iter().filter(|other| (other.increment < 0) == descends);
    let values = counterparts.flat_map(|other| [other.last, other.reached]);
    let values = values.chain([sequence.reached]).flatten();
    if descends { values.min() } else { values.max() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::sequence::Filled;
    use crate::engine::model::table::TableName;

    fn sequence(last: Option<i64>, reached: Option<i64>) -> Sequence {
        let table = TableName::new("public", "items");
        Sequence {
            name: TableName::new("public", "items_id_seq"),
            fills: vec![Filled { table, column: "id".into() }],
            increment: 1,
            min: 1,
            max: 1_000,
            cycles: false,
            readable: true,
            settable: true,
            last,
            first: None,
            reached,
        }
    }

    fn backwards(last: Option<i64>, reached: Option<i64>) -> Sequence {
        Sequence { increment: -1, min: -1_000, max: -1, ..sequence(last, reached) }
    }

    /// The value that the target's sequence is advanced to, if it is advanced.
    fn advanced_to(source: &Sequence, target: &Sequence) -> Option<i64> {
        let plan = plan(std::slice::from_ref(source), std::slice::from_ref(target));
        assert_eq!(plan.notes, []);
        plan.steps.first().map(|step| step.to)
    }

    #[test]
    fn a_sequence_is_advanced_past_synced_values_and_those_that_the_source_gave_out() {
        for (source, target, to) in [
            ((Some(70), Some(60)), (None, Some(60)), Some(70)),
            ((Some(70), None), (None, None), Some(70)),
            ((None, Some(60)), (Some(5), Some(80)), Some(80)),
            ((None, None), (None, None), None),
            ((Some(70), Some(60)), (Some(70), Some(60)), None),
            ((Some(70), Some(60)), (Some(71), Some(60)), None),
        ] {
            let (source, target) = (sequence(source.0, source.1), sequence(target.0, target.1));
            assert_eq!(advanced_to(&source, &target), to, "{source:?} {target:?}");
        }
    }

    #[test]
    fn a_sequence_that_counts_backwards_is_advanced_downwards() {
        let source = backwards(Some(-70), Some(-60));
        assert_eq!(advanced_to(&source, &backwards(Some(-3), Some(-60))), Some(-70));
        assert_eq!(advanced_to(&source, &backwards(Some(-71), Some(-60))), None);
        assert_eq!(advanced_to(&sequence(Some(70), None), &backwards(None, Some(-5))), Some(-5));
    }

    #[test]
    fn values_before_its_first_one_do_not_move_a_sequence() {
        assert_eq!(advanced_to(&sequence(None, Some(-5)), &sequence(None, Some(0))), None);
        assert_eq!(advanced_to(&sequence(None, None), &backwards(None, Some(4))), None);
    }

    #[test]
    fn a_counterpart_fills_the_same_column() {
        let mut other = sequence(Some(70), None);
        other.fills[0].column = "number".into();
        assert_eq!(advanced_to(&other, &sequence(Some(5), None)), None);
    }

    #[test]
    fn a_sequence_that_cannot_be_advanced_gets_a_note_with_a_remedy() {
        let fine = sequence(None, Some(60));
        for (target, weight, remedy) in [
            (Sequence { settable: false, ..fine.clone() }, Weight::Problem, "grant update on"),
            (Sequence { readable: false, ..fine.clone() }, Weight::Problem, "grant select, update"),
            (Sequence { max: 50, ..fine.clone() }, Weight::Problem, "alter sequence"),
            (Sequence { cycles: true, ..fine.clone() }, Weight::Info, ""),
        ] {
            let plan = plan(&[], &[target]);
            assert_eq!((plan.steps.len(), plan.notes.len()), (0, 1), "{:?}", plan.notes);
            let note = &plan.notes[0];
            assert!(note.weight == weight && note.remedy.starts_with(remedy), "{note}");
        }
    }

    #[test]
    fn a_position_of_the_source_that_cannot_be_read_is_a_warning() {
        let hidden = Sequence { readable: false, ..sequence(None, Some(60)) };
        let plan = plan(&[hidden], &[sequence(None, Some(60))]);
        assert_eq!((plan.steps.len(), plan.notes[0].weight), (1, Weight::Warning));
    }
}
