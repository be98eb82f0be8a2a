//! Decides how far the target's sequences are advanced, so that they give out no value that was
//! synced, and none that the source gave out and deleted since.

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

/// Plans the steps. A sequence is never set back, and one whose columns hold nothing and whose
/// counterpart gave nothing out stays as it is.
pub fn plan(source: &[Sequence], target: &[Sequence]) -> SequencesPlan {
    let mut plan = SequencesPlan::default();
    for sequence in target {
        let counterparts = source.iter().filter(|other| fill_the_same(other, sequence));
        plan.add(sequence, &counterparts.collect::<Vec<_>>());
    }
    plan
}

fn fill_the_same(one: &Sequence, other: &Sequence) -> bool {
    one.fills.iter().any(|column| other.fills.contains(column))
}

impl SequencesPlan {
    fn add(&mut self, sequence: &Sequence, counterparts: &[&Sequence]) {
        let name = &sequence.name;
        let mut say = |weight, text: &str, remedy: String| {
            self.notes.push(Note::new(weight, name, text, remedy));
        };
        if sequence.cycles {
            let text = "it begins anew at its end and is left as it is";
            return say(Weight::Info, text, String::new());
        }
        if !sequence.readable {
            let remedy = format!("grant select, update on sequence {name} to that role");
            let text = "the target's role may not read how far it is";
            return say(Weight::Problem, text, remedy);
        }
        for other in counterparts.iter().filter(|other| !other.readable) {
            let text = "the source's role may not read how far its own is, so keys of deleted \
                rows may be given out again";
            let remedy = format!("grant select on sequence {} to that role", other.name);
            say(Weight::Warning, text, remedy);
        }
        match wanted(sequence, counterparts).and_then(|to| step(sequence, to)) {
            Some(Ok(step)) => self.steps.push(step),
            Some(Err(note)) => self.notes.push(note),
            None => {}
        }
    }
}

/// The step to a value, or why it cannot be made; none where the sequence is as far already or does
/// not even begin before it.
fn step(sequence: &Sequence, to: i64) -> Option<Result<SequenceStep, Note>> {
    let Sequence { name, increment, min, max, settable, last, first, .. } = sequence;
    let descends = *increment < 0;
    let is_behind = |from: i64| if descends { to < from } else { from < to };
    let first = first.unwrap_or(if descends { *max } else { *min });
    let begins_behind = if descends { to > first } else { to < first };
    if begins_behind || last.is_some_and(|last| !is_behind(last)) {
        return None;
    }
    let problem = |text: &str, remedy| Some(Err(Note::new(Weight::Problem, name, text, remedy)));
    if to < *min || to > *max {
        let remedy = format!("alter sequence {name} to end later");
        return problem("what was synced lies beyond its end", remedy);
    }
    if !settable {
        let remedy = format!("grant update on sequence {name} to that role");
        return problem("the target's role may not advance it", remedy);
    }
    Some(Ok(SequenceStep { sequence: name.clone(), from: *last, to, descends }))
}

/// The value furthest in the sequence's direction that its columns hold or its counterparts gave
/// out. One that counts the other way has no say in how far it is.
fn wanted(sequence: &Sequence, counterparts: &[&Sequence]) -> Option<i64> {
    let descends = sequence.increment < 0;
    let alike = counterparts.iter().filter(|other| (other.increment < 0) == descends);
    let given = alike.flat_map(|other| [other.last, other.reached]);
    let known = given.chain([sequence.reached]).flatten();
    if descends { known.min() } else { known.max() }
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

    /// The number from which the target's sequence goes on, if it is advanced.
    fn goes_on(source: &Sequence, target: &Sequence) -> Option<i64> {
        let plan = plan(std::slice::from_ref(source), std::slice::from_ref(target));
        assert_eq!(plan.notes, []);
        plan.steps.first().map(|step| step.to)
    }

    #[test]
    fn a_sequence_goes_on_behind_what_was_synced_and_what_the_source_gave_out() {
        for (source, target, to) in [
            ((Some(70), Some(60)), (None, Some(60)), Some(70)),
            ((Some(70), None), (None, None), Some(70)),
            ((None, Some(60)), (Some(5), Some(80)), Some(80)),
            ((None, None), (None, None), None),
            ((Some(70), Some(60)), (Some(70), Some(60)), None),
            ((Some(70), Some(60)), (Some(71), Some(60)), None),
        ] {
            let (source, target) = (sequence(source.0, source.1), sequence(target.0, target.1));
            assert_eq!(goes_on(&source, &target), to, "{source:?} {target:?}");
        }
    }

    #[test]
    fn a_sequence_that_counts_backwards_goes_on_below() {
        let source = backwards(Some(-70), Some(-60));
        assert_eq!(goes_on(&source, &backwards(Some(-3), Some(-60))), Some(-70));
        assert_eq!(goes_on(&source, &backwards(Some(-71), Some(-60))), None);
        assert_eq!(goes_on(&sequence(Some(70), None), &backwards(None, Some(-5))), Some(-5));
    }

    #[test]
    fn values_in_front_of_its_beginning_do_not_move_it() {
        assert_eq!(goes_on(&sequence(None, Some(-5)), &sequence(None, Some(0))), None);
        assert_eq!(goes_on(&sequence(None, None), &backwards(None, Some(4))), None);
    }

    #[test]
    fn a_counterpart_fills_the_same_column() {
        let mut other = sequence(Some(70), None);
        other.fills[0].column = "number".into();
        assert_eq!(goes_on(&other, &sequence(Some(5), None)), None);
    }

    #[test]
    fn what_cannot_be_advanced_is_named_with_what_to_do() {
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
