//! A push that goes record by record, for a peer that has no room for a spool.
//!
//! Rows are read in the order of their key and sent in batches. The peer commits each batch by
//! itself, and answers with a verdict for each row. So the rows are not of one moment, and those
//! that were saved stay saved however the session ends. What is not saved is named:
//!
//! 1. Tables are sent parents first. Rows that wait for another one are sent again after all
//!    others, as long as that brings rows in.
//! 2. Rows that still wait, and those that break another rule, are rejected. The others are saved.
//! 3. With a rejected row the session is not completed. Whoever resumes it sends those rows again.
//!
//! The position is saved after each answer. A process that dies before that sends its last batch
//! once more under the same number, and gets the answer of then.

use std::time::Duration;

use bytes::Bytes;

use super::condition;
use super::export::bad_condition;
use super::own_deployment::OwnDeployment;
use super::plan;
use super::ports::Deployment;
use super::work::{Work, lease_lost};
use crate::engine::drive::fetch;
use crate::engine::model::budget::Budget;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::cursor::Pass;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{Compression, CopiedTable, Manifest, PROTOCOL};
use crate::engine::model::page::{Encoding, Page, PageLimit};
use crate::engine::model::range::RowKey;
use crate::engine::model::records::{
    BATCH_BYTES, BATCH_ROWS, BatchAddress, BatchAnswer, Reading, ReadingRows, RecordsEnd,
    RecordsPosition, Verdict,
};
use crate::engine::model::session::{Direction, Method, NewSession, Phase, Restored};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Fetch, ReadPage};

/// The pause before a batch is sent again to a peer that is busy. It doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// Refuses what cannot be done record by record.
pub fn check(session: &NewSession) -> Result<(), Fault> {
    let NewSession { method, direction, options, .. } = session;
    if *method != Method::Records {
        return Ok(());
    }
    let (message, hint) = match direction {
        Direction::Pull => ("Rows are not pulled record by record", "pull them as one copy"),
        Direction::Push if options.verify || options.per_table => (
            "Rows that go record by record share no transaction to verify or to divide",
            "leave verify and per_table out, or push one copy",
        ),
        Direction::Push => return Ok(()),
    };
    Err(Fault::of_call(FaultCode::BadAction, message, hint))
}

/// A push that goes record by record, under the lease of its session.
pub struct RecordSync<'a> {
    own: &'a OwnDeployment,
    peer: &'a dyn Deployment,
    work: &'a Work<'a>,
    /// The tables, parents first.
    shapes: Vec<Shape>,
    facts: Facts,
}

impl<'a> RecordSync<'a> {
    /// Prepares the push of these tables.
    pub fn new(
        own: &'a OwnDeployment,
        peer: &'a dyn Deployment,
        work: &'a Work<'a>,
        shapes: Vec<Shape>,
        facts: Facts,
    ) -> Self {
        let shapes = shapes.into_iter().map(|shape| plan::by_key(shape, &facts)).collect();
        Self { own, peer, work, shapes, facts }
    }

    /// Sends batches until all rows are saved; returns none if the budget is used up.
    pub async fn run(&self, budget: &Budget) -> Result<Option<Restored>, Fault> {
        self.put_manifest().await?;
        let mut position = self.position().await?;
        let rows = self.shapes.iter().map(|shape| shape.estimated_rows).sum();
        self.work.enter(Phase::Transfer, 0, rows);
        self.work.advance(0, position.saved());
        let (mut most_saved, mut slowest) = (position.saved(), Duration::ZERO);
        loop {
            while let Some(reading) = position.queue.first().cloned() {
                let start = self.own.clock.now();
                if !budget.allows(start, slowest) {
                    return Ok(None);
                }
                let bytes = self.batch(reading, &mut position).await?;
                // A table that is read again counts from its first row.
                let saved = position.saved().saturating_sub(most_saved);
                self.work.advance(bytes, saved);
                most_saved += saved;
                slowest =
                    slowest.max(self.own.clock.now().duration_since(start).unwrap_or_default());
            }
            if !position.send_waiting() {
                break;
            }
            self.sort(&mut position);
        }
        self.finish(&position).await.map(Some)
    }

    /// Tells the peer what the rows are made of. Their number is not known.
    async fn put_manifest(&self) -> Result<(), Fault> {
        let session = &self.work.held.session;
        for shape in &self.shapes {
            let table = self.facts.tables.get(&shape.table);
            if let (Some(filter), Some(table)) = (&shape.filter, table) {
                let checked = condition::check(filter, table);
                checked.map_err(|bad| bad_condition(&shape.table).caused_by(bad))?;
            }
        }
        let table = |shape: &Shape| CopiedTable {
            table: shape.table.clone(),
            columns: shape.columns.iter().map(|column| column.name.clone()).collect(),
            rows: 0,
            encoding: Encoding::Text,
        };
        let manifest = Manifest {
            protocol: PROTOCOL,
            database: self.facts.identity.clone(),
            export: session.to_string(),
            taken_at: 0,
            compression: Compression::None,
            facts: self.facts.clone(),
            tables: self.shapes.iter().map(table).collect(),
            frames: Vec::new(),
            parts: Vec::new(),
            sequences: Vec::new(),
            keyless: Vec::new(),
        };
        self.peer.put_manifest(session, &Bytes::from(manifest.to_bytes())).await
    }

    /// The position of the session. If its last pass is over, rows that were rejected are sent
    /// again.
    async fn position(&self) -> Result<RecordsPosition, Fault> {
        let Some(mut position) = self.own.store.position(&self.work.held.session).await? else {
            let tables = self.shapes.iter().map(|shape| shape.table.clone());
            return Ok(RecordsPosition::start(tables));
        };
        if position.queue.is_empty() {
            position.send_unsaved();
            self.sort(&mut position);
        }
        Ok(position)
    }

    /// Sorts the queue by the order of the tables.
    fn sort(&self, position: &mut RecordsPosition) {
        let place =
            |reading: &Reading| self.shapes.iter().position(|shape| shape.table == reading.table);
        position.queue.sort_by_key(place);
    }

    /// Sends the first batch of the queue, and saves the position after it. Returns its bytes.
    async fn batch(&self, reading: Reading, position: &mut RecordsPosition) -> Result<u64, Fault> {
        let Reading { table, rows } = reading;
        let shape = self.shapes.iter().find(|shape| shape.table == table);
        let shape = shape.ok_or_else(|| plan::changed(&table))?;
        let (page, rest) = self.read(shape, rows).await?;
        let bytes = page.bytes.len() as u64;
        if page.rows > 0 {
            let keys = self.own.source.keys(shape, &page)?;
            let keys = keys.iter().map(|key: &RowKey| key.values().to_vec()).collect();
            let answer = self.send(shape, &page, position.batch).await?;
            if !answer.is_of(page.rows) {
                return Err(no_verdicts(page.rows, &answer).of_table(&table));
            }
            position.record(&table, keys, answer);
            position.batch += 1;
        }
        match rest {
            Some(rows) => position.queue[0].rows = rows,
            None => drop(position.queue.remove(0)),
        }
        match self.own.store.put_position(&self.work.held, position).await? {
            true => Ok(bytes),
            false => Err(lease_lost()),
        }
    }

    /// Reads the rows of a batch; returns the rest of the reading, too.
    async fn read(
        &self,
        shape: &Shape,
        rows: ReadingRows,
    ) -> Result<(Page, Option<ReadingRows>), Fault> {
        let source = &*self.own.source;
        match rows {
            ReadingRows::After(after) => {
                let (from, watermark, goal) = (None, None, Reached::default());
                let (pass, then, fresh) = (Pass::ByKey, Vec::new(), false);
                let scan = Scan { pass, then, after, from, watermark, fresh, goal };
                let limit = PageLimit { rows: BATCH_ROWS, bytes: BATCH_BYTES };
                let read = ReadPage { shape, scan: &scan, overlap: Duration::ZERO, limit };
                let page = source.read(&read).await?;
                let rest = (!page.complete).then(|| ReadingRows::After(page.last.clone()));
                Ok((page, rest))
            }
            ReadingRows::Keys(mut keys) => {
                let values = &keys[..keys.len().min(BATCH_ROWS as usize)];
                let fetch = Fetch { shape, columns: &shape.key, values };
                let (page, read) = fetch::first(source, &fetch).await?;
                keys.drain(..read);
                Ok((page, (!keys.is_empty()).then_some(ReadingRows::Keys(keys))))
            }
        }
    }

    /// Has the peer write a batch. A page that is too large for a call is a single row.
    async fn send(&self, shape: &Shape, page: &Page, number: u64) -> Result<BatchAnswer, Fault> {
        if page.bytes.len() > BATCH_BYTES {
            let verdict = Verdict::too_large(page.bytes.len());
            return Ok(BatchAnswer { verdicts: vec![verdict], ..BatchAnswer::default() });
        }
        let session = self.work.held.session.clone();
        let address = BatchAddress { session, table: shape.table.clone(), number };
        self.once_free(|| self.peer.batch(&address, page.bytes.clone())).await
    }

    /// Makes a call, and again while the peer is at work at another one: that of a driver which was
    /// killed may go on there for a while.
    async fn once_free<T, F>(&self, call: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match call().await {
                Err(fault) if fault.code == FaultCode::Busy && pause < LAST_PAUSE => {}
                result => return result,
            }
            self.own.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    /// Completes the session there, if no row is rejected.
    async fn finish(&self, position: &RecordsPosition) -> Result<Restored, Fault> {
        let keyless = plan::keyless(&self.facts);
        let restored = Restored { keyless, ..position.restored() };
        if position.unsaved() > 0 {
            self.work.refuse(restored);
            return Err(rejected(position));
        }
        let session = self.work.held.session.clone();
        let names: Vec<TableName> = self.shapes.iter().map(|shape| shape.table.clone()).collect();
        let sequences = self.own.export.sequences(&names).await?;
        let end = RecordsEnd { session, sequences, restored: restored.clone() };
        self.once_free(|| self.peer.end_records(&end)).await?;
        Ok(restored)
    }
}

fn rejected(position: &RecordsPosition) -> Fault {
    let unsaved = position.tables.iter().filter(|(_, counts)| counts.rejected + counts.waiting > 0);
    let tables: Vec<String> = unsaved.map(|(table, _)| table.to_string()).collect();
    let count = match position.unsaved() {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    };
    let message = format!(
        "The target rejects {count} of {}; the other {} are saved",
        tables.join(", "),
        position.saved()
    );
    let hint = "`syncline full-sync status` lists them with the reasons; mend them on either side \
                and resume, which sends them again";
    Fault::new(Step::Write, FaultCode::RowsRefused, message, hint)
}

fn no_verdicts(rows: u64, answer: &BatchAnswer) -> Fault {
    let message = format!(
        "The peer answered a batch of {rows} rows with {} verdicts and {} rows saved",
        answer.verdicts.len(),
        answer.saved.rows()
    );
    let hint = "none of the batch is counted; install the same release of Syncline on both \
                deployments, and resume";
    Fault::new(Step::Peer, FaultCode::BadCopy, message, hint)
}
