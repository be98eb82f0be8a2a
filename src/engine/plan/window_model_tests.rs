//! A source that is written while runs look at it and read it. Whatever the order of stamps,
//! commits, looks and pages, and whatever other runs do between a run's look and its work, the kept
//! cursor stays behind every open writer and no row is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::model::pulse::{Beat, Pulse};
use crate::engine::model::survey::{Floor, Survey, SurveyAsk};
use crate::engine::plan::early;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    stamp: Option<u32>,
    version: u32,
}

/// What a writer dates its row with, drawn when it begins.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    Clock,
    Ahead(u32),
    Null,
}

/// What happens at the source between two steps of a run.
#[derive(Clone, Copy, Debug)]
enum Event {
    Tick,
    Begin(Stamp, u8),
    Commit(usize),
}

struct Open {
    name: Writer,
    stamp: Option<u32>,
    id: u8,
}

/// Before this many steps of a run the source may be written alone; another run's steps before its
/// own count with them.
const STEPS: usize = 12;

/// A source and a target, and what is still to happen.
struct World {
    shape: Shape,
    clock: u32,
    begun: u32,
    source: BTreeMap<u8, Row>,
    open: Vec<Open>,
    /// The step of a run before which the source is written; past the last one, before each.
    busy: usize,
    step: usize,
    gaps: std::vec::IntoIter<Vec<Event>>,
    target: BTreeMap<u8, Row>,
    checkpoint: Option<Checkpoint>,
}

impl World {
    fn new(shape: Shape, gaps: Vec<Vec<Event>>) -> Self {
        Self {
            shape,
            clock: 1,
            begun: 0,
            source: BTreeMap::new(),
            open: Vec::new(),
            busy: 0,
            step: 0,
            gaps: gaps.into_iter(),
            target: BTreeMap::new(),
            checkpoint: None,
        }
    }

    /// Lets time pass between two steps of a run; a committed row becomes visible at once.
    fn gap(&mut self) {
        self.step += 1;
        if self.busy < STEPS && self.step != self.busy {
            return;
        }
        for event in self.gaps.next().unwrap_or_default() {
            match event {
                Event::Tick => self.clock += 1,
                Event::Begin(stamp, id) => {
                    self.begun += 1;
                    let stamp = match stamp {
                        Stamp::Clock => Some(self.clock),
                        Stamp::Ahead(by) => Some(self.clock + by),
                        Stamp::Null => None,
                    };
                    self.open.push(Open { name: format!("w{}", self.begun), stamp, id });
                }
                Event::Commit(of) if !self.open.is_empty() => self.commit(of % self.open.len()),
                Event::Commit(_) => {}
            }
        }
    }

    fn commit(&mut self, at: usize) {
        let Open { name, stamp, id } = self.open.remove(at);
        let version = name[1..].parse().unwrap();
        self.source.insert(id, Row { stamp, version });
    }

    fn writers(&self) -> BTreeSet<Writer> {
        self.open.iter().map(|open| open.name.clone()).collect()
    }

    /// The row versions from a cursor on, as the adapter digests them.
    fn digest(&self, from: Option<u32>) -> String {
        let holds = |row: &Row| from.is_none() || row.stamp.is_none() || row.stamp >= from;
        let rows = self.source.iter().filter(|(_, row)| holds(row));
        format!("{:?}", rows.map(|(id, row)| (*id, row.version)).collect::<Vec<_>>())
    }

    fn look(&self) -> TableSurvey {
        if self.shape.cursor == Cursor::Whole {
            return TableSurvey { tail: Some(self.digest(None)), ..TableSurvey::default() };
        }
        let stamps = || self.source.values().filter_map(|row| row.stamp);
        let max = stamps().filter(|stamp| *stamp <= self.clock).max();
        let reached = self.checkpoint.as_ref().map(|checkpoint| &checkpoint.reached);
        let seen = reached.and_then(|reached| reached.seen.as_ref());
        let shown = max.map(|max| value(&max.to_string()));
        TableSurvey {
            tail: seen
                .filter(|seen| seen.max == shown)
                .map(|_| self.digest(number(reached.unwrap().kept.as_ref()))),
            next: Some(self.digest(max)),
            beyond: stamps().any(|stamp| Some(stamp) > max),
            nulls: self.source.values().any(|row| row.stamp.is_none()),
            start: None,
            max: shown,
        }
    }

    /// One page of one snapshot, copied to the target; what a page says of itself.
    fn read(&mut self, scan: &Scan, rows: usize) -> Page {
        let (from, mark) = (number(scan.from.as_ref()), number(scan.watermark.as_ref()));
        let holds = |stamp: Option<u32>| match scan.pass {
            Pass::Window => stamp.is_some() && stamp >= from && stamp <= mark,
            Pass::Beyond => stamp > mark,
            Pass::Nulls => stamp.is_none(),
            Pass::ByKey => stamp.is_none() || stamp >= from,
        };
        let by_cursor = matches!(scan.pass, Pass::Window | Pass::Beyond);
        let place = |id: u8, row: &Row| (row.stamp.filter(|_| by_cursor), id);
        let after = scan.after.as_ref().map(|after| {
            (number(after.cursor.as_ref()), after.key[0].as_str().parse::<u8>().unwrap())
        });
        let mut found: Vec<_> = self
            .source
            .iter()
            .filter(|(id, row)| holds(row.stamp) && Some(place(**id, row)) > after)
            .map(|(id, row)| (place(*id, row), *row))
            .collect();
        found.sort_by_key(|(place, _)| *place);
        found.truncate(rows);
        self.target.extend(found.iter().map(|((_, id), row)| (*id, *row)));
        let last = found.last().map(|((stamp, id), _)| Position {
            cursor: stamp.map(|stamp| value(&stamp.to_string())),
            key: vec![value(&id.to_string())],
        });
        page(last, found.len() < rows)
    }

    /// Writers, look, writers.
    fn survey(&mut self) -> Survey {
        let writers_before = self.writers();
        self.gap();
        let tables = vec![self.look()];
        self.gap();
        Survey { writers_before, tables, writers_after: self.writers() }
    }

    /// The same before it is known how far the table has come.
    fn pulse(&mut self) -> Pulse {
        let TableSurvey { max, tail, next, beyond, nulls, start: _ } = self.look();
        let cursor = self.shape.cursor.column().map(str::to_owned);
        let digest = next.or(tail).unwrap();
        let beat = Beat { cursor, max, digest, beyond, nulls };
        self.gap();
        let tables = [(self.shape.table.clone(), beat)].into();
        Pulse { tables, overlap: Duration::ZERO, writers: Some(self.writers()) }
    }

    /// One run that looks under its lease; of at most so many pages of so many rows. Says whether
    /// anything was to be done.
    fn run(&mut self, rows: usize, pages: usize) -> bool {
        let survey = self.survey();
        self.work(&survey, rows, pages)
    }

    /// One run that takes the pulse, and has the lease after so many others have done all they do;
    /// and it looks again where the pulse does not tell enough.
    fn run_behind(&mut self, others: usize, rows: usize, pages: usize) -> bool {
        let pulse = self.pulse();
        for _ in 0..others {
            self.gap();
            self.run(rows, 2 * pages);
        }
        self.gap();
        let checkpoint = usable(&self.shape, self.checkpoint.as_ref());
        let ask = SurveyAsk { shape: &self.shape, checkpoint, floor: Floor::None };
        let told = early::survey(&pulse, &[ask], Duration::ZERO);
        let survey = told.unwrap_or_else(|| self.survey());
        self.work(&survey, rows, pages)
    }

    /// What follows a look, in the order of the job: a wait for the writers, and pages.
    fn work(&mut self, survey: &Survey, rows: usize, pages: usize) -> bool {
        let Survey { writers_before: before, tables, writers_after: after } = survey;
        let look = &tables[0];
        let known = usable(&self.shape, self.checkpoint.as_ref());
        let reached = known.map(|known| known.reached.clone()).unwrap_or_default();
        let mut scan = match decide(&self.shape, self.checkpoint.as_ref(), look, before) {
            Move::Quiet => return false,
            Move::Settle(reached) => {
                self.save(settled(&self.shape, reached));
                return true;
            }
            Move::Resume(scan) => scan,
            Move::Scan(scan) => {
                self.gap();
                let open = after.intersection(&self.writers()).cloned().collect();
                promise(scan, &self.shape, &reached, look, &open)
            }
        };
        for _ in 0..pages {
            self.gap();
            let page = self.read(&scan, rows);
            let left = after_page(&scan, &page);
            self.save(checkpoint(&self.shape, &reached, &scan, left.as_ref()));
            match left {
                Some(left) => scan = left,
                None => break,
            }
        }
        true
    }

    /// Saves, and holds the checkpoint to the rule that all else serves.
    fn save(&mut self, checkpoint: Checkpoint) {
        let kept = number(checkpoint.reached.kept.as_ref());
        for open in self.open.iter().filter(|open| open.stamp.is_some()) {
            assert!(kept <= open.stamp, "{} may write behind {kept:?}", open.name);
        }
        self.checkpoint = Some(checkpoint);
    }
}

fn number(cursor: Option<&CursorValue>) -> Option<u32> {
    cursor.map(|cursor| cursor.as_str().parse().unwrap())
}

fn busy() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 0..STEPS, 1 => Just(STEPS)]
}

/// How many runs come between a run's pulse and its lease; none where it takes no pulse.
fn behind() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![1 => Just(None), 2 => (0_usize..3).prop_map(Some)]
}

fn gap() -> impl Strategy<Value = Vec<Event>> {
    let stamp = prop_oneof![
        8 => Just(Stamp::Clock),
        1 => (1_u32..4).prop_map(Stamp::Ahead),
        1 => Just(Stamp::Null),
    ];
    let event = prop_oneof![
        2 => Just(Event::Tick),
        3 => (stamp, 0_u8..8).prop_map(|(stamp, id)| Event::Begin(stamp, id)),
        3 => any::<usize>().prop_map(Event::Commit),
    ];
    proptest::collection::vec(event, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_writers_do_no_row_is_lost_and_the_kept_cursor_stays_behind_them(
        shape in prop_oneof![3 => Just(cursor(true)), 1 => Just(cursor(false)), 1 => Just(Cursor::Whole)],
        gaps in proptest::collection::vec(gap(), 1..40),
        runs in proptest::collection::vec((1_usize..9, 1_usize..4, busy(), behind()), 1..12),
    ) {
        let mut world = World::new(shape_by(shape), gaps);
        for (rows, pages, busy, behind) in runs {
            (world.busy, world.step) = (busy, 0);
            world.gap();
            match behind {
                Some(others) => world.run_behind(others, rows, pages),
                None => world.run(rows, pages),
            };
        }
        world.gaps = Vec::new().into_iter();
        while !world.open.is_empty() {
            world.commit(0);
        }
        for _ in 0..2 {
            world.run_behind(0, 2, usize::MAX);
        }
        prop_assert_eq!(&world.source, &world.target);
        // After a resumed scan and a whole one: what is pending settles, and is seen once more.
        for _ in 0..3 {
            world.run_behind(0, 2, usize::MAX);
        }
        prop_assert!(!world.run_behind(0, 2, usize::MAX), "it never becomes quiet");
        prop_assert!(!world.run(2, usize::MAX), "it looks otherwise under the lease");
    }
}
