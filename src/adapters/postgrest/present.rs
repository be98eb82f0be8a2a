//! What the target has of a page's rows. A row that is the same is not written again, so the
//! target's are read before: those whose cursor or key lies between the page's first and last, in a
//! few calls however many they are, or key by key where no order is the same on both sides.
//!
//! A row that is the same has the same cursor. What is not found between the page's cursors is
//! another row, or none; writing tells which.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::client::Get;
use super::fault::RestError;
use super::lines::{self, Line, Taken};
use super::order::{self, newer_there};
use super::query::{self, Query};
use super::read::{Rows, batches};
use super::target::PostgrestTarget;
use crate::engine::model::cursor::{Cursor, CursorKind};
use crate::engine::model::deletes::MarkKind;
use crate::engine::model::json_rows;
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// Calls that are made at once: the API's pool is its users', too.
const AT_ONCE: usize = 6;

/// So many more rows than the page has may lie between its first and last; more are read key by
/// key.
const MOST_OTHERS: u64 = 1_000;

/// What the target has of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not found: another row, or none.
    Unknown,
    /// The same row, or a newer one where the newest wins.
    Same,
    /// Another one, which is to be written over.
    Differs,
    /// One that stays, but for the mark that says that it is gone.
    Marked,
}

/// The target's rows of a page, in its order.
pub async fn look(
    of: &PostgrestTarget,
    taken: &Taken<'_>,
    page: &Page,
    lines: &[Line],
) -> Result<Vec<Standing>, RestError> {
    let mut found = Found::of(taken, lines);
    if let Some(span) = Span::of(taken.shape, page, lines)?
        && found.within(of, &span).await?
    {
        return Ok(found.standings);
    }
    found.by_keys(of).await?;
    Ok(found.standings)
}

/// The same, key by key.
pub async fn look_by_keys(
    of: &PostgrestTarget,
    taken: &Taken<'_>,
    lines: &[&Line],
) -> Result<Vec<Standing>, RestError> {
    let mut found = Found::of(taken, lines.iter().copied());
    found.by_keys(of).await?;
    Ok(found.standings)
}

/// Whether the target has a row under a key, however it spells it.
pub async fn has(of: &PostgrestTarget, shape: &Shape, key: &RowKey) -> Result<bool, RestError> {
    let values = [key.values().to_vec()];
    let mut found = false;
    for (column, condition) in batches(&shape.key, &values) {
        let query = keys_of(shape).with(&column, &condition);
        each(of, shape, &query, |_| {
            found = true;
            Ok(())
        })
        .await?;
    }
    Ok(found)
}

/// The keys as the target shows them, and nothing else.
pub fn keys_of(shape: &Shape) -> Query {
    Query::default().with("select", &columns(shape, shape.key.iter().map(String::as_str)))
}

/// The columns of the target, what JSON would tell wrongly cast to text.
pub fn columns<'a>(shape: &Shape, names: impl Iterator<Item = &'a str>) -> String {
    let column = |name: &'a str| {
        let moved = shape.columns.iter().find(|column| column.name == name);
        let as_it_is = moved.is_none_or(|of| json_rows::is_told_as_it_is(&of.target_type));
        format!("{}{}", query::name(name), if as_it_is { "" } else { "::text" })
    };
    names.map(column).collect::<Vec<_>>().join(",")
}

/// Hands each row over that a query finds. The API cuts its lists; the rows of several come in the
/// order of their keys.
pub async fn each(
    of: &PostgrestTarget,
    shape: &Shape,
    query: &Query,
    mut with: impl FnMut(&[u8]) -> Result<(), RestError>,
) -> Result<u64, RestError> {
    let (schema, table) = (shape.table.schema(), shape.table.name());
    let query = query.clone().with("order", &super::read::order(&shape.key));
    let mut read = 0;
    loop {
        let query = query.clone().with("offset", &read.to_string());
        let get =
            Get { schema, table, query: query.as_str(), counted: true, most_bytes: PAGE_BYTES };
        let listed = of.client().list(&get).await?;
        let total = listed.total;
        let rows = Rows::of(listed, PAGE_BYTES)?;
        for row in rows.iter() {
            with(row)?;
        }
        read += rows.ends.len() as u64;
        if rows.ends.is_empty() || total.is_some_and(|total| read >= total) {
            return Ok(read);
        }
    }
}

/// Where the rows of a page lie.
struct Span {
    column: String,
    from: String,
    upto: String,
}

impl Span {
    /// None where the page has no order, or none that is the same on the target, or where a row
    /// that lies elsewhere may be newer.
    fn of(shape: &Shape, page: &Page, lines: &[Line]) -> Result<Option<Self>, RestError> {
        let ([first, .., last], Some(position)) = (lines, &page.last) else { return Ok(None) };
        let column = match (&position.cursor, &shape.cursor) {
            (Some(_), Cursor::Column { name, .. }) => name,
            _ => &shape.key[0],
        };
        let place = shape.place(column).expect("key and cursor columns are among the moved ones");
        let moved = &shape.columns[place];
        let is_same_order = order::is_native(&moved.source_type)
            && order::is_native(&moved.target_type)
            && CursorKind::of_type(&moved.source_type) == CursorKind::of_type(&moved.target_type);
        if !is_same_order || shape.newest_by().is_some() {
            return Ok(None);
        }
        let (Some(from), Some(upto)) = (first.text(place)?, last.text(place)?) else {
            return Ok(None);
        };
        Ok(Some(Self { column: column.clone(), from, upto }))
    }
}

struct Found<'a> {
    taken: &'a Taken<'a>,
    lines: Vec<&'a Line>,
    places: BTreeMap<&'a RowKey, usize>,
    standings: Vec<Standing>,
}

type Fetched<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<(usize, Standing)>, RestError>> + Send + 'a>>;

impl<'a> Found<'a> {
    fn of(taken: &'a Taken<'a>, lines: impl IntoIterator<Item = &'a Line>) -> Self {
        let lines: Vec<&Line> = lines.into_iter().collect();
        let places = lines.iter().enumerate().map(|(place, line)| (&line.key, place)).collect();
        let standings = vec![Standing::Unknown; lines.len()];
        Self { taken, lines, places, standings }
    }

    fn select(&self) -> Query {
        let shape = self.taken.shape;
        let moved = shape.columns.iter().map(|column| column.name.as_str());
        let mark = shape.mark.as_ref().map(|mark| mark.column.as_str());
        Query::default().with("select", &columns(shape, moved.chain(mark)))
    }

    /// Reads what lies within the span; whether it was read, since others may lie there, too.
    async fn within(&mut self, of: &PostgrestTarget, span: &Span) -> Result<bool, RestError> {
        let shape = self.taken.shape;
        let Span { column, from, upto } = span;
        let name = query::name(column);
        let bounds = |query: Query| {
            query.with(&name, &format!("gte.{from}")).with(&name, &format!("lte.{upto}"))
        };
        let count = bounds(keys_of(shape)).with("limit", "1");
        let (schema, table) = (shape.table.schema(), shape.table.name());
        let get =
            Get { schema, table, query: count.as_str(), counted: true, most_bytes: PAGE_BYTES };
        // Where nobody counts, nobody knows how many others lie there.
        let Some(total) = of.client().list(&get).await?.total else { return Ok(false) };
        if total > self.lines.len() as u64 + MOST_OTHERS {
            return Ok(false);
        }
        if total > 0 {
            let query = bounds(self.select());
            let mut seen = Vec::new();
            each(of, shape, &query, |row| {
                seen.extend(self.standing(row)?);
                Ok(())
            })
            .await?;
            self.note(seen);
        }
        Ok(true)
    }

    async fn by_keys(&mut self, of: &PostgrestTarget) -> Result<(), RestError> {
        let shape = self.taken.shape;
        let keys: Vec<Vec<String>> =
            self.lines.iter().map(|line| line.key.values().to_vec()).collect();
        let mut calls: Vec<Fetched<'_>> = Vec::new();
        for (column, condition) in batches(&shape.key, &keys) {
            let (query, this) = (self.select().with(&column, &condition), &*self);
            calls.push(Box::pin(async move {
                let mut seen = Vec::new();
                each(of, shape, &query, |row| {
                    seen.extend(this.standing(row)?);
                    Ok(())
                })
                .await?;
                Ok(seen)
            }));
        }
        let seen: Vec<Vec<(usize, Standing)>> =
            stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
        self.note(seen.into_iter().flatten());
        Ok(())
    }

    fn note(&mut self, seen: impl IntoIterator<Item = (usize, Standing)>) {
        for (place, standing) in seen {
            self.standings[place] = standing;
        }
    }

    /// How a row of the target stands to the page's of the same key, if that has one.
    fn standing(&self, there: &[u8]) -> Result<Option<(usize, Standing)>, RestError> {
        let shape = self.taken.shape;
        let key = lines::key(shape, there)?;
        let Some(&place) = self.places.get(&key) else { return Ok(None) };
        let line = self.lines[place];
        let same = line.is_same(self.taken, there)?;
        let marked = match &shape.mark {
            None => false,
            Some(mark) => {
                let value = json_rows::text(there, shape.columns.len())?;
                match mark.kind {
                    MarkKind::Time => value.is_some(),
                    MarkKind::Flag => value.as_deref() == Some(b"true"),
                }
            }
        };
        let stays = same || newer_there(shape, line, there)?;
        let standing = match (stays, marked) {
            (false, _) => Standing::Differs,
            (true, true) => Standing::Marked,
            (true, false) => Standing::Same,
        };
        Ok(Some((place, standing)))
    }
}
