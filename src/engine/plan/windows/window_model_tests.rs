//! A source that is written while runs look at it and read it. Whatever the order of stamps,
//! commits, looks and pages, the kept cursor stays behind every open writer and no row is lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    stamp: Option<u32>,
    version: u32,
}

/// The stamp that a writer dates its row with, drawn when it begins.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    Clock,
    Ahead(u32),
    Null,
}

/// An event at the source between two steps of a run.
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

/// Before this many steps of a run the source may be written alone.
const STEPS: usize = 6;

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
                Event::Commit(writer) if !self.open.is_empty() => {
                    self.commit(writer % self.open.len())
                }
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

    /// One run in the order of the job: writers, look, writers, a wait for them, at most so many
    /// pages of so many rows. Says whether anything was to be done.
    fn run(&mut self, rows: usize, pages: usize) -> bool {
        let before = self.writers();
        self.gap();
        let look = self.look();
        self.gap();
        let after = self.writers();
        let known = usable(&self.shape, self.checkpoint.as_ref());
        let reached = known.map(|known| known.reached.clone()).unwrap_or_default();
        let mut scan = match decide(&self.shape, self.checkpoint.as_ref(), &look, &before) {
            Move::Quiet => return false,
            Move::Settle(reached) => {
                self.save(settled(&self.shape, reached));
                return true;
            }
            Move::Resume(scan) => scan,
            Move::Scan(scan) => {
                self.gap();
                let open = after.intersection(&self.writers()).cloned().collect();
                promise(scan, &self.shape, &reached, &look, &open)
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
    proptest::collection::vec(event, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_writers_do_no_row_is_lost_and_the_kept_cursor_stays_behind_them(
        shape in prop_oneof![3 => Just(cursor(true)), 1 => Just(cursor(false)), 1 => Just(Cursor::Whole)],
        gaps in proptest::collection::vec(gap(), 1..40),
        runs in proptest::collection::vec((1_usize..9, 1_usize..4, 0..=STEPS), 1..12),
    ) {
        let mut world = World::new(shape_by(shape), gaps);
        for (rows, pages, busy) in runs {
            (world.busy, world.step) = (busy, 0);
            world.gap();
            world.run(rows, pages);
        }
        world.gaps = Vec::new().into_iter();
        while !world.open.is_empty() {
            world.commit(0);
        }
        for _ in 0..2 {
            world.run(2, usize::MAX);
        }
        prop_assert_eq!(&world.source, &world.target);
        // After a resumed scan and a whole one: what is pending settles, and is seen once more.
        for _ in 0..3 {
            world.run(2, usize::MAX);
        }
        prop_assert!(!world.run(2, usize::MAX), "it never becomes quiet");
    }
}
