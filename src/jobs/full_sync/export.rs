//! The export of a copy: the tables as of one moment, as frames and parts in the spool.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::condition;
use super::estimate;
use super::frames::{self, FrameWriter};
use super::plan;
use super::ports::{CopyStore, ExportTable, PartName, PutPart};
use super::work::Work;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{Compression, CopiedTable, Frame, Manifest, PROTOCOL, Sha};
use crate::engine::model::packed;
use crate::engine::model::page::Encoding;
use crate::engine::model::session::{CopyOptions, Phase, SessionId};
use crate::engine::model::table::TableName;
use crate::engine::ports::Clock;
use crate::engine::ports::export::{
    Consistency, ExportSide, Format, Output, Part, PartColumn, Pass, Snapshot,
};

/// The parts after which the size of the manifest is looked at: two gigabytes of them.
const PARTS_BETWEEN_LOOKS: usize = 1024;

/// The most attempts: with a table that changes all the time there would be no end.
const MOST_ATTEMPTS: u32 = 3;

/// An export.
pub struct CopyExport<'a> {
    /// The spool.
    pub store: &'a dyn CopyStore,
    /// The database that is read.
    pub side: &'a dyn ExportSide,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The lease of the session, and its progress.
    pub work: &'a Work<'a>,
    /// The tables, in their order.
    pub tables: &'a [ExportTable],
    /// The options of the session.
    pub options: &'a CopyOptions,
    /// Makes random bits, for the names of exports.
    pub random: fn() -> [u8; 16],
    /// The bytes that the spool may take, if they are limited.
    pub room: Option<u64>,
}

impl CopyExport<'_> {
    /// Exports the tables and saves the manifest.
    pub async fn run(&self) -> Result<(), Fault> {
        let mut attempt = 1;
        loop {
            match self.attempt().await {
                Err(fault) if fault.code == FaultCode::Overtaken && attempt < MOST_ATTEMPTS => {
                    tracing::info!(attempt, "{fault}; all is read again");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Exports the tables once. The fault `Overtaken` says that the rows are not of one moment.
    async fn attempt(&self) -> Result<(), Fault> {
        let names: Vec<TableName> = self.tables.iter().map(|table| table.table.clone()).collect();
        plan::refuse_system_tables(&names)?;
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            let hint = "name each table once";
            return Err(Fault::of_call(FaultCode::BadAction, "A table is named twice", hint));
        }
        let copies_all = self.options.tables.is_none();
        let mut facts = self.side.describe((!copies_all).then_some(&names[..])).await?;
        let keyless = if copies_all { plan::keyless(&facts) } else { Vec::new() };
        facts.tables.retain(|table, _| names.contains(table));
        let parts: Vec<Part> =
            self.tables.iter().map(|table| part(table, &facts)).collect::<Result<_, _>>()?;
        self.work.enter(Phase::Backup, 0, parts.iter().map(|part| part.expected).sum());
        let session = &self.work.held.session;
        let export = SessionId::from_random((self.random)()).to_string();
        let mut snapshot = self.side.snapshot(&parts).await?;
        let taken_at = self.clock.now();
        self.store.begin_export(session, &export).await?;
        let mut output = SpoolOutput {
            store: self.store,
            work: self.work,
            session,
            export: &export,
            writer: FrameWriter::new(self.compression()),
            next_table: 0,
            encoding: Encoding::Text,
            parts: Vec::new(),
            frames: Vec::new(),
            room: self.room,
        };
        let mut tables = Vec::new();
        for (part, table) in parts.iter().zip(self.tables) {
            let copied = output.table(&mut *snapshot, part, table).await;
            tables.push(copied.map_err(|fault| fault.of_table(&part.table))?);
        }
        snapshot.end().await?;
        output.finish().await?;
        let SpoolOutput { parts, frames, .. } = output;
        // The sequences are read after the rows, so that they are past every key that was read.
        let sequences = self.side.sequences(&names).await?;
        let taken_at = taken_at.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let manifest = Manifest {
            protocol: PROTOCOL,
            database: facts.identity.clone(),
            export: export.clone(),
            taken_at: taken_at.as_secs(),
            compression: self.compression(),
            facts,
            tables,
            frames,
            parts,
            sequences,
            keyless,
        };
        let bytes = Bytes::from(manifest.to_bytes());
        check_size(bytes.clone())?;
        self.store.put_manifest(session, &export, &Sha::of(&bytes), &bytes).await
    }
}

impl CopyExport<'_> {
    fn compression(&self) -> Compression {
        if self.options.compress { Compression::Gzip } else { Compression::None }
    }
}

/// The rows of a table, as a snapshot reads them.
fn part(table: &ExportTable, facts: &Facts) -> Result<Part, Fault> {
    let Some(known) = facts.tables.get(&table.table) else {
        return Err(changed(table, "The table does not exist any more"));
    };
    let column = |name: &String| match known.column(name) {
        Some(_) => Ok(PartColumn {
            name: name.clone(),
            serial: false,
            identity_always: false,
            omitted_first: false,
        }),
        None => Err(changed(table, "A column that was agreed on does not exist any more")),
    };
    if let Some(filter) = &table.filter {
        let checked = condition::check(filter, known);
        checked.map_err(|bad| bad_condition(&table.table).caused_by(bad))?;
    }
    Ok(Part {
        table: table.table.clone(),
        relation: known.relation,
        columns: table.columns.iter().map(column).collect::<Result<_, _>>()?,
        key: Vec::new(),
        filter: table.filter.clone(),
        pass: Pass::Whole,
        expected: known.estimated_rows,
    })
}

/// The fault of a condition that is not let into a statement.
pub fn bad_condition(table: &TableName) -> Fault {
    let hint = "compare columns with literals; subqueries and functions of one's own are refused";
    Fault::of_call(FaultCode::BadAction, "The condition on its rows is refused", hint)
        .of_table(table)
}

fn changed(table: &ExportTable, message: &str) -> Fault {
    let hint = "start the full sync again, which plans anew";
    Fault::new(Step::Read, FaultCode::SchemaChanged, message, hint).of_table(&table.table)
}

/// Cuts rows into frames and parts, and saves parts as they fill up.
struct SpoolOutput<'a> {
    store: &'a dyn CopyStore,
    work: &'a Work<'a>,
    session: &'a SessionId,
    export: &'a str,
    writer: FrameWriter,
    next_table: usize,
    /// The encoding of the next rows.
    encoding: Encoding,
    parts: Vec<Sha>,
    frames: Vec<Frame>,
    /// The bytes that are left for more parts, if they are limited.
    room: Option<u64>,
}

impl SpoolOutput<'_> {
    /// Writes the rows of a table, in the encoding that was agreed on. A snapshot that is proved has
    /// text alone.
    async fn table(
        &mut self,
        snapshot: &mut dyn Snapshot,
        part: &Part,
        table: &ExportTable,
    ) -> Result<CopiedTable, Fault> {
        let (encoding, format) = match (table.encoding, snapshot.consistency()) {
            (Encoding::Binary, Consistency::Held) => (Encoding::Binary, Format::BinaryCopy),
            _ => (Encoding::Text, Format::Copy),
        };
        self.encoding = encoding;
        self.begin(&part.table).await?;
        let rows = snapshot.rows(part, format, self).await?;
        let columns = table.columns.clone();
        Ok(CopiedTable { table: part.table.clone(), columns, rows, encoding })
    }

    async fn save(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let sha = Sha::of(&bytes);
        let part = PartName { export: self.export, number };
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(bytes.len() as u64).ok_or_else(estimate::no_room_to_export)?;
        }
        match self.store.put_part(self.session, &part, &sha, &bytes).await? {
            PutPart::Saved => self.parts.push(sha),
            PutPart::Other | PutPart::OtherExport => return Err(another_export()),
        }
        if self.parts.len().is_multiple_of(PARTS_BETWEEN_LOOKS) {
            let lists = (self.writer.frames(), &self.parts);
            check_size(serde_json::to_vec(&lists).expect("the lists are JSON"))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Output for SpoolOutput<'_> {
    async fn begin(&mut self, _table: &TableName) -> Result<(), Fault> {
        self.writer.begin(self.next_table, self.encoding).await;
        self.next_table += 1;
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let rows = frames::each_row(self.encoding, bytes, |_| {});
        self.writer.write(bytes).await;
        self.work.advance(bytes.len() as u64, rows.unwrap_or_default());
        while let Some(part) = self.writer.part() {
            self.save(part).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.frames = self.writer.finish().await;
        while let Some(part) = self.writer.part() {
            self.save(part).await?;
        }
        match self.writer.last() {
            Some(part) => self.save(part).await,
            None => Ok(()),
        }
    }
}

/// Refuses a manifest that no call carries. It lists all frames and parts: so it is looked at while
/// they are written, since the rest of a copy that is too large would be read in vain.
fn check_size(manifest: impl Into<Bytes>) -> Result<(), Fault> {
    packed::pack(manifest).map(drop).map_err(|bad| {
        let message = "The copy has so many rows that its manifest, the list of its frames and \
                       parts, is larger than one call carries";
        let hint = "copy fewer tables at once with --table, or fewer rows with --where; where one \
                    place reaches both databases, `syncline run` has no such limit";
        Fault::new(Step::Read, FaultCode::TooLarge, message, hint).caused_by(bad)
    })
}

fn another_export() -> Fault {
    let message = "Another process exports into the spool of this full sync";
    let hint = "nothing to do: that process goes on with it";
    Fault::new(Step::State, FaultCode::LeaseLost, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::manifest::RowsDigest;

    #[test]
    fn a_manifest_that_no_call_carries_is_refused_with_the_way_out() {
        let frame = |number: u32| Frame {
            table: 0,
            bytes: 1 << 20,
            raw_bytes: 4 << 20,
            rows: 1,
            sha: Sha::of(&number.to_le_bytes()),
            digest: RowsDigest::default(),
        };
        let checked = |count: u32| {
            let frames: Vec<Frame> = (0..count).map(frame).collect();
            check_size(serde_json::to_vec(&frames).expect("JSON"))
        };
        // 40 gigabytes of rows.
        assert!(checked(10_000).is_ok());
        let fault = checked(120_000).expect_err("it is too large");
        assert_eq!(fault.code, FaultCode::TooLarge);
        assert!(fault.message.contains("manifest") && fault.hint.contains("--where"), "{fault}");
    }
}
