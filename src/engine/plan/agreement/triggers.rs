//! Decides whether the ordinary triggers of a target's table fire for the rows that are written.
//!
//! Both databases usually come from the same migrations and have the same triggers. A row that
//! comes from the source went through them there. Fired again on the target, they stamp it anew, so
//! that the sides differ for ever, count it twice, or write its audit row twice. Logical
//! replication suppresses them for the same reason.

use crate::engine::model::facts::TableFacts;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::{Firing, TableTrigger, TriggerState};
use crate::engine::plan::note::{Note, Weight};

/// A table of both sides.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The table.
    pub name: &'a TableName,
    /// The key of the sync.
    pub key: &'a [String],
    /// The facts of the source's.
    pub source: &'a TableFacts,
    /// The facts of the target's.
    pub target: &'a TableFacts,
    /// The target's role may suppress triggers.
    pub may_suppress: bool,
}

/// Decides about a table's triggers, and notes why some fire that could be suppressed.
pub fn decide(policy: TargetTriggers, table: Sides<'_>) -> (Firing, Option<Note>) {
    match policy {
        TargetTriggers::Fire => (Firing::Fire, None),
        TargetTriggers::Suppress => suppress_all(table),
        TargetTriggers::Auto => suppress_shared(table),
    }
}

/// Suppresses what there is. Triggers that fire where others are suppressed are asked for with
/// those.
fn suppress_all(table: Sides<'_>) -> (Firing, Option<Note>) {
    if table.target.triggers.iter().all(|trigger| trigger.state == TriggerState::Disabled) {
        return (Firing::Fire, None);
    }
    match duty(table) {
        Some(reason) => (Firing::Fire, Some(table.fires_for(&reason))),
        None => (Firing::Suppress, None),
    }
}

/// Suppresses the ordinary triggers if all of them have done their work on the source.
fn suppress_shared(table: Sides<'_>) -> (Firing, Option<Note>) {
    let Sides { source, target, may_suppress, .. } = table;
    let is_shared = |trigger: &&TableTrigger| {
        let source = source.triggers.iter().filter(|other| other.name == trigger.name);
        let mut source = source.peekable();
        source.peek().is_some() && source.all(|other| other.does_work_of(trigger))
    };
    let (shared, own): (Vec<_>, Vec<_>) =
        target.triggers.iter().filter(is_ordinary).partition(is_shared);
    if shared.is_empty() && own.is_empty() {
        return (Firing::Fire, None);
    }
    if source.told_by_api {
        return (Firing::Fire, Some(table.unknown()));
    }
    let note = match () {
        () if shared.is_empty() => table.own_alone(&own),
        () if !own.is_empty() => table.own_besides(&shared, &own),
        () => match duty(table) {
            Some(reason) => table.fires_for(&reason),
            None if !may_suppress => table.without_the_right(&shared),
            None => return (Firing::Suppress, None),
        },
    };
    (Firing::Fire, Some(note))
}

fn is_ordinary(trigger: &&TableTrigger) -> bool {
    trigger.state == TriggerState::Ordinary
}

/// The work of the server's own triggers that would be left undone, and its remedy.
struct Duty {
    reason: String,
    remedy: String,
}

fn duty(Sides { name, key, target, .. }: Sides<'_>) -> Option<Duty> {
    let duties = &target.trigger_duties;
    let others: Vec<&str> = duties
        .referenced
        .iter()
        .filter(|column| !key.contains(column))
        .map(String::as_str)
        .collect();
    if duties.deferrable_keys {
        return Some(Duty {
            reason: "the server checks its deferrable key by a trigger, too".into(),
            remedy: format!("make that constraint of {name} not deferrable"),
        });
    }
    if !others.is_empty() {
        return Some(Duty {
            reason: format!(
                "foreign keys point to its column {}, which the server follows by triggers, too",
                others.join(", ")
            ),
            remedy: "name those columns as its `key`, if they are its only key there".into(),
        });
    }
    let parents: Vec<String> = duties.unlockable_parents.iter().map(ToString::to_string).collect();
    if parents.is_empty() {
        return None;
    }
    let parents = parents.join(", ");
    Some(Duty {
        reason: format!("the target's role may not lock the rows of {parents} that it points to"),
        remedy: format!("grant select, update on {parents} to that role"),
    })
}

impl Sides<'_> {
    fn note(&self, weight: Weight, text: String, remedy: impl Into<String>) -> Note {
        Note::new(weight, self.name, text, remedy)
    }

    fn fires_for(&self, Duty { reason, remedy }: &Duty) -> Note {
        let ordinary: Vec<_> = self.target.triggers.iter().filter(is_ordinary).collect();
        let text = format!("its {} for the rows that are written: {reason}", fire(&ordinary));
        self.note(Weight::Warning, text, remedy.clone())
    }

    fn unknown(&self) -> Note {
        let ordinary: Vec<_> = self.target.triggers.iter().filter(is_ordinary).collect();
        let text = format!(
            "the source's API does not tell whether it has the same triggers: its {} for the rows \
             that are written",
            fire(&ordinary)
        );
        let remedy = "run what `syncline project-sql source` prints in the source's project, or \
            set triggers = \"suppress\" if both sides have them";
        self.note(Weight::Warning, text, remedy)
    }

    fn own_alone(&self, own: &[&TableTrigger]) -> Note {
        let text = format!(
            "its {} for the rows that are written: the source's table has no such trigger",
            fire(own)
        );
        self.note(Weight::Info, text, "")
    }

    fn own_besides(&self, shared: &[&TableTrigger], own: &[&TableTrigger]) -> Note {
        let text = format!(
            "its {} again for the rows that are written, although the source's did so already: {} \
             only on the target and must fire",
            fire(shared),
            is_or_are(own),
        );
        let remedy = format!(
            "run on the target: {}; the others are suppressed then",
            alter(self.name, "enable always", own)
        );
        self.note(Weight::Warning, text, remedy)
    }

    fn without_the_right(&self, shared: &[&TableTrigger]) -> Note {
        let text = format!(
            "its {} again for the rows that are written, although the source's did so already: the \
             target's role may not suppress triggers",
            fire(shared)
        );
        let remedy = format!(
            "grant set on parameter session_replication_role to that role (from Postgres 15 on), \
             behind an API run what `syncline project-sql target --suppress-triggers` prints, or \
             switch them off while nobody else writes: {}",
            alter(self.name, "disable", shared)
        );
        self.note(Weight::Warning, text, remedy)
    }
}

/// The subject and its verb: `trigger a fires`, `triggers a, b fire`.
fn fire(triggers: &[&TableTrigger]) -> String {
    let names = names(triggers);
    match names.len() {
        1 => format!("trigger {} fires", names[0]),
        _ => format!("triggers {} fire", names.join(", ")),
    }
}

fn is_or_are(triggers: &[&TableTrigger]) -> String {
    let names = names(triggers);
    match names.len() {
        1 => format!("{} is", names[0]),
        _ => format!("{} are", names.join(", ")),
    }
}

/// Their names, once each: partitions repeat those of their table.
fn names<'a>(triggers: &[&'a TableTrigger]) -> Vec<&'a str> {
    let mut names: Vec<&str> = triggers.iter().map(|trigger| trigger.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn alter(table: &TableName, verb: &str, triggers: &[&TableTrigger]) -> String {
    let actions: Vec<String> = names(triggers)
        .iter()
        .map(|name| format!("{verb} trigger \"{}\"", name.replace('"', "\"\"")))
        .collect();
    format!("alter table {table} {}", actions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::facts::TriggerDuties;
    use crate::engine::model::trigger::TriggerEvents;

    use TriggerState::{Always, Disabled, Ordinary, Replica};

    fn trigger(name: &str, state: TriggerState) -> TableTrigger {
        TableTrigger {
            name: name.into(),
            function_schema: "public".into(),
            function: format!("{name}_function"),
            state,
            before: true,
            each_row: true,
            events: TriggerEvents { update: true, ..TriggerEvents::default() },
        }
    }

    fn table(triggers: &[TableTrigger]) -> TableFacts {
        TableFacts { triggers: triggers.to_vec(), ..TableFacts::default() }
    }

    fn decided(
        policy: TargetTriggers,
        source: &TableFacts,
        target: &TableFacts,
        may_suppress: bool,
    ) -> (Firing, String) {
        let name = TableName::new("public", "t");
        let key = ["id".to_owned()];
        let sides = Sides { name: &name, key: &key, source, target, may_suppress };
        let (firing, note) = decide(policy, sides);
        (firing, note.map(|note| note.to_string()).unwrap_or_default())
    }

    fn auto(source: &TableFacts, target: &TableFacts) -> (Firing, String) {
        decided(TargetTriggers::Auto, source, target, true)
    }

    #[test]
    fn triggers_of_both_sides_are_suppressed_and_others_fire() {
        let stamp = |state| trigger("stamp", state);
        let other_function =
            TableTrigger { function: "other".into(), ..trigger("stamp", Ordinary) };
        let elsewhere =
            TableTrigger { function_schema: "extensions".into(), ..trigger("stamp", Ordinary) };
        let mut on_insert_too = stamp(Ordinary);
        on_insert_too.events.insert = true;
        for (source, target, expected) in [
            (vec![], vec![], Firing::Fire),
            (vec![stamp(Ordinary)], vec![], Firing::Fire),
            (vec![stamp(Ordinary)], vec![stamp(Ordinary)], Firing::Suppress),
            (vec![elsewhere], vec![stamp(Ordinary)], Firing::Suppress),
            (vec![on_insert_too.clone()], vec![stamp(Ordinary)], Firing::Suppress),
            (vec![stamp(Ordinary)], vec![on_insert_too], Firing::Fire),
            (vec![stamp(Always)], vec![stamp(Ordinary)], Firing::Suppress),
            (vec![stamp(Disabled)], vec![stamp(Ordinary)], Firing::Fire),
            (vec![stamp(Replica)], vec![stamp(Ordinary)], Firing::Fire),
            (vec![stamp(Ordinary), stamp(Disabled)], vec![stamp(Ordinary)], Firing::Fire),
            (vec![other_function], vec![stamp(Ordinary)], Firing::Fire),
            (vec![], vec![stamp(Ordinary)], Firing::Fire),
            (vec![stamp(Ordinary)], vec![stamp(Disabled)], Firing::Fire),
            (vec![stamp(Ordinary)], vec![stamp(Replica)], Firing::Fire),
            (vec![stamp(Ordinary)], vec![stamp(Always)], Firing::Fire),
            (
                vec![stamp(Ordinary)],
                vec![stamp(Ordinary), trigger("own", Always)],
                Firing::Suppress,
            ),
            (vec![stamp(Ordinary)], vec![stamp(Ordinary), trigger("own", Ordinary)], Firing::Fire),
        ] {
            let (firing, note) = auto(&table(&source), &table(&target));
            assert_eq!(firing, expected, "{source:?} {target:?} {note}");
        }
    }

    #[test]
    fn each_note_names_the_triggers_and_the_remedy() {
        let shared = table(&[trigger("stamp", Ordinary)]);
        let own = table(&[trigger("audit", Ordinary), trigger("own", Ordinary)]);
        let mixed = table(&[trigger("stamp", Ordinary), trigger("own", Ordinary)]);
        let by_api = TableFacts { told_by_api: true, ..TableFacts::default() };
        let without_right = decided(TargetTriggers::Auto, &shared, &shared, false);
        for ((firing, note), parts) in [
            (auto(&shared, &own), ["note: public.t: its triggers audit, own fire", "no such"]),
            (auto(&shared, &mixed), ["trigger stamp fires again", "enable always trigger \"own\""]),
            (auto(&by_api, &shared), ["trigger stamp fires", "project-sql source"]),
            (without_right, ["grant set on parameter", "disable trigger \"stamp\""]),
        ] {
            assert_eq!(firing, Firing::Fire);
            assert!(parts.iter().all(|part| note.contains(part)), "{note}");
        }
        assert_eq!(auto(&shared, &table(&[])), (Firing::Fire, String::new()));
        assert_eq!(auto(&shared, &shared), (Firing::Suppress, String::new()));
    }

    #[test]
    fn a_table_that_needs_the_servers_own_triggers_keeps_all() {
        let duties = |change: fn(&mut TriggerDuties)| {
            let mut facts = table(&[trigger("stamp", Ordinary)]);
            change(&mut facts.trigger_duties);
            facts
        };
        for (target, expected) in [
            (duties(|duties| duties.deferrable_keys = true), "deferrable"),
            (duties(|duties| duties.referenced = vec!["id".into(), "code".into()]), "column code"),
            (
                duties(|duties| {
                    duties.unlockable_parents = vec![TableName::new("auth", "users")];
                }),
                "grant select, update on auth.users",
            ),
        ] {
            for policy in [TargetTriggers::Auto, TargetTriggers::Suppress] {
                let (firing, note) = decided(policy, &target, &target, true);
                assert_eq!(firing, Firing::Fire, "{note}");
                assert!(note.contains(expected), "{note}");
            }
        }
        let by_its_key = duties(|duties| duties.referenced = vec!["id".into()]);
        assert_eq!(auto(&by_its_key, &by_its_key).0, Firing::Suppress);
    }

    #[test]
    fn a_policy_is_stronger_than_what_both_sides_have() {
        let (none, own) = (table(&[]), table(&[trigger("own", Ordinary)]));
        let replica = table(&[trigger("own", Replica)]);
        for (policy, target, expected) in [
            (TargetTriggers::Fire, &own, Firing::Fire),
            (TargetTriggers::Suppress, &own, Firing::Suppress),
            (TargetTriggers::Suppress, &replica, Firing::Suppress),
            (TargetTriggers::Suppress, &none, Firing::Fire),
        ] {
            assert_eq!(decided(policy, &none, target, true), (expected, String::new()));
        }
        let both = decided(TargetTriggers::Fire, &own, &own, true);
        assert_eq!(both, (Firing::Fire, String::new()));
    }
}
