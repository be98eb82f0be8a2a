//! Puts rows into the target, and tells those that it refuses: a part that is refused is halved until the row is
//! alone. Each request is a transaction, so what went in stays in.

use bytes::Bytes;

use super::client::{Change, Verb};
use super::fault::RestError;
use super::lease;
use super::lines::{self, Line, Taken};
use super::order;
use super::present::{self, Standing, look_by_keys};
use super::query::{self, Query};
use super::read::batches;
use super::target::PostgrestTarget;
use super::target_fault::Refusal;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::TAKEN_VALUE;
use crate::engine::model::run::Tally;

/// More refused rows in one page have a common cause that a person must mend, and each costs a dozen calls.
const MOST_REFUSED: usize = 1_000;

/// The code of a row that the target dropped without a word, as a trigger's own refusal has it.
const DROPPED: (&str, &str) = ("P0001", "A trigger of the target dropped the row without a word");

/// What became of rows.
#[derive(Default)]
pub struct Put {
    /// Their counts.
    pub tally: Tally,
    /// All of them were new to the target.
    pub straight: bool,
    /// Those that are to be set aside.
    pub refused: Vec<(RowKey, Refusal)>,
    /// Rows that went in with others that did not, which of them is not known.
    among: u64,
}

/// Where rows are put.
pub struct Putting<'a> {
    /// The target.
    pub of: &'a PostgrestTarget,
    /// The right to.
    pub lease: &'a Lease,
    /// What is written.
    pub taken: &'a Taken<'a>,
}

/// A row with the object that says it.
struct Ready<'l> {
    line: &'l Line,
    object: Vec<u8>,
}

/// How a part is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// New rows alone; the answer says which were new.
    Add,
    /// The same, where all are believed to be new: the answer says how many were.
    AddAll,
    /// Over those that are there.
    Merge,
}

enum Sent<'l> {
    /// All of it went in, but for those that were there already.
    In(Vec<Ready<'l>>),
    /// Nothing of it did.
    Refused(Vec<Ready<'l>>, Refusal),
}

impl Putting<'_> {
    /// Puts rows into a table that was empty when the scan began.
    pub async fn fresh(&self, lines: &[Line]) -> Result<Put, RestError> {
        let mut put = Put::default();
        let ready = self.ready(lines.iter().collect(), &mut put)?;
        let there = self.send(How::AddAll, ready, &mut put).await?;
        put.straight = there.is_empty() && put.refused.is_empty();
        if !there.is_empty() {
            let lines: Vec<&Line> = there.iter().map(|ready| ready.line).collect();
            let standings = look_by_keys(self.of, self.taken, &lines).await?;
            self.rest(&lines, &standings, &mut put).await?;
            // Those that went in are the same now.
            put.tally.inserted += put.among;
            put.tally.unchanged = put.tally.unchanged.saturating_sub(put.among);
        }
        Ok(put.counted())
    }

    /// Puts rows in as they stand to the target's.
    pub async fn compared(
        &self,
        lines: &[&Line],
        standings: &[Standing],
    ) -> Result<Put, RestError> {
        let mut put = Put::default();
        self.rest(lines, standings, &mut put).await?;
        Ok(put.counted())
    }

    async fn rest(
        &self,
        lines: &[&Line],
        standings: &[Standing],
        put: &mut Put,
    ) -> Result<(), RestError> {
        let of = |standing: Standing| {
            let pairs = lines.iter().zip(standings).filter(move |(_, of)| **of == standing);
            pairs.map(|(line, _)| *line).collect::<Vec<&Line>>()
        };
        put.tally.unchanged += same(standings);
        let unknown = self.ready(of(Standing::Unknown), put)?;
        let there = self.send(How::Add, unknown, put).await?;
        let mut over = self.spelled_alike(there, put).await?;
        over.extend(self.ready(of(Standing::Differs), put)?);
        self.send(How::Merge, over, put).await?;
        self.unmark(&of(Standing::Marked), put).await
    }

    /// The objects of rows, but for rows that JSON cannot tell.
    fn ready<'l>(&self, lines: Vec<&'l Line>, put: &mut Put) -> Result<Vec<Ready<'l>>, RestError> {
        let mut all = Vec::with_capacity(lines.len());
        for line in lines {
            let mut object = Vec::new();
            match line.object(self.taken, &mut object)? {
                Ok(()) => all.push(Ready { line, object }),
                Err(refusal) => put.refuse(line, refusal)?,
            }
        }
        Ok(all)
    }

    /// Sends rows, halving what is refused; gives back those that were there already.
    async fn send<'l>(
        &self,
        how: How,
        rows: Vec<Ready<'l>>,
        put: &mut Put,
    ) -> Result<Vec<Ready<'l>>, RestError> {
        let mut there = Vec::new();
        let mut left = vec![rows];
        while let Some(part) = left.pop() {
            if part.is_empty() {
                continue;
            }
            match self.part(how, part, put).await? {
                Sent::In(already) => there.extend(already),
                Sent::Refused(part, refusal) if part.len() == 1 => {
                    put.refuse(part[0].line, refusal)?;
                }
                Sent::Refused(mut part, _) => {
                    let second = part.split_off(part.len() / 2);
                    left.extend([second, part]);
                }
            }
        }
        Ok(there)
    }

    async fn part<'l>(
        &self,
        how: How,
        part: Vec<Ready<'l>>,
        put: &mut Put,
    ) -> Result<Sent<'l>, RestError> {
        lease::prove_anew(self.of, self.lease).await?;
        let shape = self.taken.shape;
        let key: Vec<String> = shape.key.iter().map(|column| query::name(column)).collect();
        let mark = shape.mark.as_ref().filter(|_| how == How::Merge);
        let names = self.taken.columns().map(|(_, name)| name);
        let names = names.chain(mark.map(|mark| mark.column.as_str()));
        let names: Vec<String> = names.map(query::name).collect();
        let query = match how {
            How::Add => present::keys_of(shape),
            How::AddAll | How::Merge => Query::default(),
        };
        let query = query.with("on_conflict", &key.join(",")).with("columns", &names.join(","));
        let prefer = match how {
            How::Add => "resolution=ignore-duplicates, return=representation",
            How::AddAll => "resolution=ignore-duplicates, return=minimal, count=exact",
            How::Merge => "resolution=merge-duplicates, return=minimal, count=exact",
        };
        let (schema, table) = (shape.table.schema(), shape.table.name());
        let (query, body) = (query.as_str(), body(&part));
        let change = Change { verb: Verb::Post, schema, table, query, prefer, body };
        let listed = match self.of.client().change(&change).await {
            Ok(listed) => listed,
            Err(error) => {
                let refusal = self.computed(error)?.refusal_of_a_row()?;
                return Ok(Sent::Refused(part, refusal));
            }
        };
        let sent = part.len() as u64;
        let written = listed.total.unwrap_or(sent);
        match how {
            How::Add => {
                let rows = super::read::Rows::of(listed, usize::MAX)?;
                let added = rows.iter().map(|row| lines::bare_key(shape, row));
                let added = added.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
                put.tally.inserted += added.len() as u64;
                let all = added.len() as u64 == sent;
                let is_there = |ready: &Ready<'_>| !all && !added.contains(&ready.line.key);
                Ok(Sent::In(part.into_iter().filter(is_there).collect()))
            }
            How::AddAll if written == sent => {
                put.tally.inserted += sent;
                Ok(Sent::In(Vec::new()))
            }
            How::AddAll => {
                put.among += written;
                Ok(Sent::In(part))
            }
            How::Merge if written < sent => {
                let (code, reason) = DROPPED;
                let refusal = Refusal { code: code.to_owned(), reason: reason.to_owned() };
                Ok(Sent::Refused(part, refusal))
            }
            How::Merge => {
                put.tally.updated += sent;
                Ok(Sent::In(Vec::new()))
            }
        }
    }

    /// Where the server computes a column, its name; other errors as they are. Its sentence names the column
    /// and holds no value; of the two kinds one has a hint, in every language.
    fn computed(&self, error: RestError) -> Result<RestError, RestError> {
        let RestError::Refused { code, said, .. } = &error else { return Ok(error) };
        if code != "428C9" {
            return Ok(error);
        }
        let sentence = said.0.message.clone().unwrap_or_default();
        let names = || self.taken.columns().map(|(_, name)| name);
        let quoted = names().find(|name| sentence.contains(&format!("\"{name}\"")));
        // Other languages have other quotes.
        let longest = || names().filter(|name| sentence.contains(*name)).max_by_key(|of| of.len());
        let Some(column) = quoted.or_else(longest).map(str::to_owned) else { return Ok(error) };
        Err(match said.0.hint {
            Some(_) => RestError::IdentityAlways(column),
            None => RestError::Computed(column),
        })
    }

    /// Those whose key the target spells as the source does. Where it calls another key the same, `Bob` and
    /// `BOB` say, the row is refused and not written over the other.
    async fn spelled_alike<'l>(
        &self,
        there: Vec<Ready<'l>>,
        put: &mut Put,
    ) -> Result<Vec<Ready<'l>>, RestError> {
        let shape = self.taken.shape;
        let folds = |name: &String| {
            !shape.columns.iter().any(|of| of.name == *name && order::is_native(&of.source_type))
        };
        if there.is_empty() || !shape.key.iter().any(folds) {
            return Ok(there);
        }
        let lines: Vec<&Line> = there.iter().map(|ready| ready.line).collect();
        let standings = look_by_keys(self.of, self.taken, &lines).await?;
        let mut alike = Vec::with_capacity(there.len());
        for (ready, standing) in there.into_iter().zip(standings) {
            match standing {
                Standing::Unknown if present::has(self.of, shape, &ready.line.key).await? => {
                    let reason = "The target calls its key the same as another row's";
                    let (code, reason) = (TAKEN_VALUE.to_owned(), reason.to_owned());
                    put.refuse(ready.line, Refusal { code, reason })?;
                }
                Standing::Same => put.tally.unchanged += 1,
                _ => alike.push(ready),
            }
        }
        Ok(alike)
    }

    /// Takes the mark off rows that are otherwise left as they are.
    async fn unmark(&self, lines: &[&Line], put: &mut Put) -> Result<(), RestError> {
        let shape = self.taken.shape;
        let Some(Mark { column, kind }) = &shape.mark else { return Ok(()) };
        let value = match kind {
            MarkKind::Time => serde_json::Value::Null,
            MarkKind::Flag => false.into(),
        };
        let body = Bytes::from(serde_json::json!({ column: value }).to_string());
        let keys: Vec<Vec<String>> = lines.iter().map(|line| line.key.values().to_vec()).collect();
        for (name, condition) in batches(&shape.key, &keys) {
            lease::prove_anew(self.of, self.lease).await?;
            let query = Query::default().with(&name, &condition);
            let change = Change {
                verb: Verb::Patch,
                schema: shape.table.schema(),
                table: shape.table.name(),
                query: query.as_str(),
                prefer: "return=minimal, count=exact",
                body: body.clone(),
            };
            put.tally.updated += self.of.client().change(&change).await?.total.unwrap_or(0);
        }
        Ok(())
    }
}

impl Put {
    /// A page without rows leaves a scan into an empty table as it was.
    pub fn of_no_rows(straight: bool) -> Self {
        Self { straight, ..Self::default() }
    }

    fn refuse(&mut self, line: &Line, refusal: Refusal) -> Result<(), RestError> {
        self.refused.push((line.key.clone(), refusal));
        if self.refused.len() > MOST_REFUSED {
            return Err(RestError::TooManyRefused(MOST_REFUSED));
        }
        Ok(())
    }

    fn counted(mut self) -> Self {
        self.tally.rejected = self.refused.len() as u64;
        self
    }
}

fn same(standings: &[Standing]) -> u64 {
    standings.iter().filter(|of| **of == Standing::Same).count() as u64
}

/// The list of the rows' objects.
fn body(rows: &[Ready<'_>]) -> Bytes {
    let mut body =
        Vec::with_capacity(rows.iter().map(|ready| ready.object.len() + 1).sum::<usize>() + 2);
    body.push(b'[');
    for (at, ready) in rows.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&ready.object);
    }
    body.push(b']');
    body.into()
}
