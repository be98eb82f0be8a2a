//! Exports all tables of a side over an API: one call for each page, in physical (ctid) order. The
//! rows are of one moment only if they are the rows that were there at that moment (`moment.rs`
//! says how that is known); if not, the export fails and must start again.
//!
//! A page is a range of blocks: a TID range scan since Postgres 14, while 13 scans the whole table
//! for each page. So tables without a key have pages, too, and rows come as a COPY gives them.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fault::unreadable;
use super::lines::{self, Text, Value};
use super::moment::{self, Moment, Piece, Point, VERSION, Versions};
use super::progress::report_progress;
use super::statements;
use super::writer::Writer;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::{script, sql};
use crate::engine::model::facts::Relation;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::table::TableName;
use crate::engine::ports::export::{Consistency, Format, Output, Part, Snapshot};

/// The most rows of one call, however short they are.
const MOST_ROWS: u64 = 50_000;

/// The most blocks that one call scans, however few rows they hold: half a gigabyte.
const MOST_BLOCKS: u64 = 1 << 16;

/// The length of a block in nearly every database. It only sets the size of the first page.
const BLOCK_BYTES: u64 = 8 << 10;

/// The tables as of the moment of their survey, as long as their rows are still the same.
pub struct PagedSnapshot {
    session: Session,
    parts: Vec<Part>,
    moment: Moment,
}

impl PagedSnapshot {
    /// Surveys the tables, and refuses those without row versions.
    pub async fn take(session: Session, parts: &[Part]) -> Result<Self, Fault> {
        if let Some(part) = parts.iter().find(|part| !part.relation.has_versions()) {
            return Err(no_versions(&part.table));
        }
        let foreign = moment::with_foreign_rows(&session, parts).await.map_err(unreadable)?;
        if let Some(table) = foreign.first() {
            return Err(no_versions(table));
        }
        let moment = match moment::read_moment(&session, parts, None).await {
            Err(error @ PostgresError::Refused(_)) => {
                survey_one_by_one(&session, parts, error).await?
            }
            looked => looked.map_err(too_long)?,
        };
        Ok(Self { session, parts: parts.to_vec(), moment })
    }

    /// Reads one piece of a table, and checks that its row versions are those of the moment.
    async fn piece(
        &self,
        piece: &Piece,
        part: &Part,
        writer: &mut Writer<'_>,
        output: &mut dyn Output,
    ) -> Result<(), Fault> {
        let (mut range, mut read) = (BlockRange::first(piece), Versions::default());
        while range.from.block < piece.blocks {
            let answer = match self.page(piece, part, writer.format(), &range).await {
                Err(error) => {
                    let fault = too_long(error);
                    if fault.took_too_long() && range.shrink() {
                        continue;
                    }
                    return Err(fault);
                }
                Ok(answer) => answer,
            };
            let page: Page<'_> = serde_json::from_slice(&answer)
                .map_err(|_| unreadable(script::unreadable("a page")))?;
            if page.shape != piece.shape {
                return Err(unreadable(PostgresError::Altered));
            }
            let mut line = Vec::new();
            for row in &page.rows {
                let values: Vec<Value<'_>> = serde_json::from_str(row.get())
                    .map_err(|_| unreadable(script::unreadable("a row")))?;
                line.clear();
                match writer.format() {
                    Format::Csv => lines::csv(&values, &mut line),
                    Format::Sql | Format::Jsonl | Format::Copy | Format::BinaryCopy => {
                        lines::text(&values, &mut line);
                    }
                }
                writer.message(&line)?;
            }
            read = read.and(page.versions().map_err(unreadable)?);
            range.advance(&page, answer.len()).map_err(unreadable)?;
            output.write(&writer.chunk).await?;
            writer.chunk.clear();
            report_progress(part, writer.rows);
        }
        match read == piece.versions {
            true => Ok(()),
            false => Err(self.changed_meanwhile(&part.table).await),
        }
    }

    async fn page(
        &self,
        piece: &Piece,
        part: &Part,
        format: Format,
        range: &BlockRange,
    ) -> Result<Bytes, PostgresError> {
        let point = self.moment.point.as_ref().expect("a piece is of a moment with rows");
        let page = page_sql(piece, part, format, range, point);
        let lock = moment::lock(&piece.name, relation_of_piece(part));
        let (begin, locked, page) =
            tokio::join!(self.session.begin(Purpose::Read), self.session.batch(&lock), async {
                self.session.json(&page).await?.ok_or_else(|| script::unreadable("a page"))
            },);
        self.session.roll_back().await?;
        begin?;
        locked?;
        page
    }

    /// Builds the fault for a changed table, and names other tables that have changed by now.
    async fn changed_meanwhile(&self, table: &TableName) -> Fault {
        let point = self.moment.point.as_ref();
        let now = moment::read_moment(&self.session, &self.parts, point).await.ok();
        let mut others: Vec<String> = Vec::new();
        for other in self.parts.iter().map(|part| &part.table).filter(|other| *other != table) {
            let name = other.to_string();
            if now.as_ref().is_some_and(|now| now.differs(&self.moment, other))
                && !others.contains(&name)
            {
                others.push(name);
            }
        }
        let too = match others.is_empty() {
            true => String::new(),
            false => format!(", and so were those of {}", others.join(", ")),
        };
        Fault::new(
            Step::Read,
            FaultCode::Overtaken,
            format!("Its rows were changed while they were read{too}, so they are not of one moment"),
            "export at a quieter hour, or fewer tables at a time with --table, or give the database's own \
             postgres:// URL, over which one moment is held",
        )
        .of_table(table)
    }
}

#[async_trait]
impl Snapshot for PagedSnapshot {
    fn consistency(&self) -> Consistency {
        Consistency::Proved
    }

    fn head(&self, notes: &[String]) -> String {
        statements::head(&self.moment.encoding, notes)
    }

    async fn rows(
        &mut self,
        part: &Part,
        format: Format,
        output: &mut dyn Output,
    ) -> Result<u64, Fault> {
        let mut writer = Writer::new(part, format, true);
        if format == Format::Csv {
            let names: Vec<Value<'_>> =
                part.columns.iter().map(|column| Some(Text::from(column.name.as_str()))).collect();
            let mut line = Vec::new();
            lines::csv(&names, &mut line);
            writer.message(&line)?;
        }
        for piece in self.moment.pieces(&part.table) {
            self.piece(piece, part, &mut writer, output).await?;
        }
        writer.end();
        output.write(&writer.chunk).await?;
        report_progress(part, writer.rows);
        Ok(writer.rows)
    }

    async fn end(self: Box<Self>) -> Result<(), Fault> {
        Ok(())
    }
}

/// Surveys table by table, to name the one that fails. If none fails, surveys all again.
async fn survey_one_by_one(
    session: &Session,
    parts: &[Part],
    error: PostgresError,
) -> Result<Moment, Fault> {
    let fault = too_long(error);
    if fault.took_too_long() {
        return Err(fault);
    }
    for part in parts {
        let looked = moment::read_moment(session, std::slice::from_ref(part), None).await;
        looked.map_err(|error| too_long(error).of_table(&part.table))?;
    }
    moment::read_moment(session, parts, None).await.map_err(too_long)
}

/// A place in a table: what follows it is still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    block: u64,
    /// The place among the block's rows, counted from 1; 0 is before them.
    row: u64,
}

/// The blocks that the next page is made of.
#[derive(Debug)]
struct BlockRange {
    from: Place,
    blocks: u64,
    rows: u64,
}

impl BlockRange {
    /// As much as makes up a page if all rows are alike and large ones are not compressed.
    fn first(piece: &Piece) -> Self {
        let page = PAGE_BYTES as u64;
        let row = (piece.bytes / piece.versions.count.max(1)).max(1);
        Self {
            from: Place { block: 0, row: 0 },
            blocks: page / BLOCK_BYTES,
            rows: (page / row).clamp(1, MOST_ROWS),
        }
    }

    /// The first block after the range.
    fn until(&self) -> u64 {
        self.from.block + self.blocks
    }

    /// Less at a time, if that is possible.
    fn shrink(&mut self) -> bool {
        let can = self.blocks > 1 || self.rows > 1;
        (self.blocks, self.rows) = ((self.blocks / 4).max(1), (self.rows / 4).max(1));
        can
    }

    /// Moves on behind a page: more at a time where the page came out short, and no more
    /// rows than fit where not all did, since the server forms the others for nothing.
    fn advance(&mut self, page: &Page<'_>, bytes: usize) -> Result<(), PostgresError> {
        let byte_limit_hit = page.count < page.found;
        let range_exhausted = !byte_limit_hit && page.found < self.rows;
        self.from = match &page.last {
            Some(last) if !range_exhausted => {
                place(last).ok_or_else(|| script::unreadable("a place"))?
            }
            _ => Place { block: self.until(), row: 0 },
        };
        let is_short = bytes < PAGE_BYTES / 2;
        if byte_limit_hit {
            self.rows = (page.count + page.count / 4).max(1);
        } else if is_short {
            match range_exhausted {
                true => self.blocks = (self.blocks * 4).min(MOST_BLOCKS),
                false => self.rows = (self.rows * 2).min(MOST_ROWS),
            }
        }
        Ok(())
    }
}

/// Reads `(block,row)`.
fn place(text: &str) -> Option<Place> {
    let (block, row) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some(Place { block: block.parse().ok()?, row: row.parse().ok()? })
}

/// The answer of a page's statement.
#[derive(Deserialize)]
struct Page<'a> {
    shape: String,
    /// The rows found, at most as many as were asked for.
    found: u64,
    /// The rows in the answer, at most as many as fit a page's bytes.
    count: u64,
    /// The sum of the hashes that identify the row versions.
    sum: String,
    /// The place of the last row in the answer.
    last: Option<String>,
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
}

impl Page<'_> {
    fn versions(&self) -> Result<Versions, PostgresError> {
        let sum = self.sum.parse().map_err(|_| script::unreadable("a number"))?;
        Ok(Versions { count: self.rows.len() as u64, sum })
    }
}

/// The rows of a range that were there at a point, in their order, as one JSON value: up to as
/// many bytes as a page has, one row at least. They are formed behind the limit, since what is not
/// given need not be read from where large values lie.
fn page_sql(
    piece: &Piece,
    part: &Part,
    format: Format,
    range: &BlockRange,
    point: &Point,
) -> String {
    let columns: String = (part.columns.iter().enumerate())
        .map(|(at, column)| format!("r.{} as c{at}, ", sql::ident(&column.name)))
        .collect();
    let filter = part.filter.as_deref().map(sql::condition);
    let BlockRange { from: Place { block, row }, rows, .. } = range;
    let found = format!(
        "select {columns}r.ctid as place, {VERSION} as hash from {of_piece} as r \
         where r.ctid > '({block},{row})' and r.ctid < '({until},0)' and {before} and {filter} \
         order by r.ctid limit {rows}",
        of_piece = sql::rows_of(&piece.name, relation_of_piece(part)),
        until = range.until().min(u64::from(u32::MAX)),
        before = point.before(),
        filter = filter.as_deref().unwrap_or("true"),
    );
    format!(
        "select concat('{{\"shape\":', to_json({shape}), ',\"found\":', count(*), \
             ',\"count\":', count(*) filter (where p.fits), \
             ',\"sum\":\"', coalesce(sum(p.hash) filter (where p.fits), 0), \
             '\",\"last\":', coalesce(to_json(max(p.place) filter (where p.fits))::text, 'null'), \
             ',\"rows\":[', string_agg(p.line, E',\\n' order by p.number) filter (where p.fits), ']}}') \
         from (select l.*, l.number = 1 \
                 or sum(octet_length(l.line) + 2) over (order by l.number) <= {PAGE_BYTES} as fits \
             from (select {line}::text as line, q.place, q.hash, row_number() over (order by q.place) as number \
                 from ({found}) as q) as l) as p",
        shape = moment::shape_sql(&format!("{}::regclass", sql::literal(&sql::table(&piece.name)))),
        line = line_sql(part, format),
    )
}

/// A partition is a table.
fn relation_of_piece(part: &Part) -> Relation {
    match part.relation {
        Relation::Partitioned => Relation::Table,
        other => other,
    }
}

/// The expression that makes a list of texts of a row, `q`. A cast to text gives another form than
/// the type's output function for some types, and a composite value of nothing but NULLs is no
/// NULL.
fn line_sql(part: &Part, format: Format) -> String {
    if format == Format::Jsonl {
        let members = (part.columns.iter().enumerate())
            .map(|(at, column)| format!("q.c{at} as {}", sql::ident(&column.name)));
        let members = members.collect::<Vec<_>>().join(", ");
        return format!(
            "to_json(array[(select row_to_json(j.*)::text from (select {members}) as j)])"
        );
    }
    let values = (0..part.columns.len()).map(|at| {
        format!("case when q.c{at} is distinct from null then format('%s', q.c{at}) end")
    });
    format!("to_json(array[{}]::text[])", values.collect::<Vec<_>>().join(", "))
}

/// Turns a call that the server or the gateway ended into a fault with an export's own hint: the
/// hint of a sync's page does not apply.
fn too_long(error: PostgresError) -> Fault {
    let fault = unreadable(error);
    if !fault.took_too_long() {
        return fault;
    }
    let hint = "one call over an API has a minute, for the survey of all tables and for each page: give the \
        database's own postgres:// URL, or export fewer tables with --table if the survey is slow";
    Fault { hint: hint.to_owned(), ..fault }
}

fn no_versions(table: &TableName) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoVersions,
        "It is a view, or has rows on another server, so its rows have no versions and what is read of \
         it over an API is not known to be of one moment",
        "leave it out, or give the database's own postgres:// URL",
    )
    .of_table(table)
}
