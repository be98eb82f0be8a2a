//! Puts rows into the target, and tells those that it refuses: a part that is refused is halved
//! until the row is alone. Each request is a transaction, so what went in stays in.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::{Change, Listed, Verb};
use super::fault::RestError;
use super::lines::{self, Line, Taken};
use super::present::{self, Standing, look_by_keys};
use super::query::{self, Query};
use super::read::Rows;
use super::rows;
use super::target::PostgrestTarget;
use super::target_fault::Refusal;
use crate::adapters::project::Again;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::Tally;

/// More refused rows in one page have a common cause that a person must mend, and each costs a
/// dozen calls.
const MOST_REFUSED: usize = 1_000;

/// How long refused rows are told apart, some two calls each. A function has 29 s, and a page that
/// gives up is tried with a quarter of its rows: from two thousand to seven in four tries, after
/// which it is saved.
const LONGEST: Duration = Duration::from_secs(4);

/// What is said of a row that was not told apart from others in that time.
const NOT_TOLD_APART: &str =
    "Refused together with other rows, too many to be told apart at once; it is tried again";

/// What became of rows.
#[derive(Default)]
pub struct Put {
    /// Their counts.
    pub tally: Tally,
    /// All of them were new to the target.
    pub straight: bool,
    /// Those that are to be set aside.
    pub refused: Vec<(RowKey, Refusal)>,
    /// Those that there was no time for, with the code that was said of them together with others.
    pub left: Vec<(RowKey, Refusal)>,
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
    /// What becomes of rows that there is no time for.
    pub late: Late,
}

/// What becomes of refused rows that are not told apart in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The page fails, and is tried with fewer rows.
    GivesUp,
    /// They are left as they are.
    Leaves,
}

/// A row with the object that says it.
pub struct Ready<'l> {
    /// The row.
    pub line: &'l Line,
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

/// What became of a part.
pub enum Sent<'l> {
    /// All of it went in, but for those that were there already.
    In(Vec<Ready<'l>>),
    /// Nothing of it did.
    Refused(Vec<Ready<'l>>, Refusal),
    /// These are to be sent once more: of the others it is known that they are in.
    Rest(Vec<Ready<'l>>),
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
            self.rest(&lines, Some(&standings), &mut put).await?;
            // Those that went in are the same now.
            put.tally.inserted += put.among;
            put.tally.unchanged = put.tally.unchanged.saturating_sub(put.among);
        }
        Ok(put.counted())
    }

    /// Puts rows in as they stand to the target's; none where it could not be asked.
    pub async fn compared(
        &self,
        lines: &[&Line],
        standings: Option<&[Standing]>,
    ) -> Result<Put, RestError> {
        let mut put = Put::default();
        self.rest(lines, standings, &mut put).await?;
        Ok(put.counted())
    }

    async fn rest(
        &self,
        lines: &[&Line],
        standings: Option<&[Standing]>,
        put: &mut Put,
    ) -> Result<(), RestError> {
        let unasked = vec![Standing::Unknown; lines.len()];
        let known = standings.unwrap_or(&unasked);
        let of = |standing: Standing| {
            let pairs = lines.iter().zip(known).filter(move |(_, of)| **of == standing);
            pairs.map(|(line, _)| *line).collect::<Vec<&Line>>()
        };
        put.tally.unchanged += same(known);
        let unknown = self.ready(of(Standing::Unknown), put)?;
        let there = self.send(How::Add, unknown, put).await?;
        let mut over = match standings.is_none() || self.folds() {
            true => self.still_differing(there, put).await?,
            false => there,
        };
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

    /// Sends rows, halving what is refused; gives back those that were there already. Where many
    /// are refused, that ends with the time that there is for it; a single part is always tried.
    async fn send<'l>(
        &self,
        how: How,
        rows: Vec<Ready<'l>>,
        put: &mut Put,
    ) -> Result<Vec<Ready<'l>>, RestError> {
        let begun = Instant::now();
        // What was said of the last part that was halved.
        let mut halved: Option<String> = None;
        let mut there = Vec::new();
        let mut left = vec![rows];
        while let Some(part) = left.pop() {
            if part.is_empty() {
                continue;
            }
            if let Some(code) = halved.as_ref().filter(|_| begun.elapsed() > LONGEST) {
                match self.late {
                    Late::GivesUp => return Err(RestError::TooLong(LONGEST.as_secs())),
                    Late::Leaves => put.leave(&part, code),
                }
                continue;
            }
            match self.part(how, part, put).await? {
                Sent::In(already) => there.extend(already),
                Sent::Rest(rest) => left.push(rest),
                Sent::Refused(part, refusal) if part.len() == 1 => {
                    put.refuse(part[0].line, refusal)?;
                }
                Sent::Refused(mut part, refusal) => {
                    halved = Some(refusal.code);
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
        // The call writes over whatever is there: a row that became newer meanwhile is left out.
        let part = match how == How::Merge && self.taken.shape.newest_by().is_some() {
            true => self.still_differing(part, put).await?,
            false => part,
        };
        if part.is_empty() {
            return Ok(Sent::In(part));
        }
        let listed = match self.post(how, &part).await {
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
                let rows = Rows::of(listed, usize::MAX)?;
                let added = rows.iter().map(|row| lines::bare_key(self.taken.shape, row));
                let added = added.collect::<Result<BTreeSet<_>, _>>()?;
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
            How::Merge if written < sent => self.not_written(part, written, put).await,
            How::Merge => {
                put.tally.updated += sent;
                Ok(Sent::In(Vec::new()))
            }
        }
    }

    async fn post(&self, how: How, part: &[Ready<'_>]) -> Result<Listed, RestError> {
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
        let (query, body, again) = (query.as_str(), body(part), Again::IfRefused);
        let change = Change { verb: Verb::Post, schema, table, query, prefer, body, again };
        rows::write(self.of, self.lease, &change).await
    }

    /// Where the server computes a column, its name; other errors as they are. Its sentence names
    /// the column and holds no value; of the two kinds one has a hint, in every language.
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
}

impl Put {
    /// A page without rows leaves a scan into an empty table as it was.
    pub fn of_no_rows(straight: bool) -> Self {
        Self { straight, ..Self::default() }
    }

    /// The rows that are not in as the source has them.
    pub fn staying(&self) -> impl Iterator<Item = &(RowKey, Refusal)> {
        self.refused.iter().chain(&self.left)
    }

    /// A row is to be set aside.
    pub fn refuse(&mut self, line: &Line, refusal: Refusal) -> Result<(), RestError> {
        self.refused.push((line.key.clone(), refusal));
        if self.refused.len() > MOST_REFUSED {
            return Err(RestError::TooManyRefused(MOST_REFUSED));
        }
        Ok(())
    }

    fn leave(&mut self, part: &[Ready<'_>], code: &str) {
        self.left.extend(part.iter().map(|ready| {
            let reason = NOT_TOLD_APART.to_owned();
            (ready.line.key.clone(), Refusal { code: code.to_owned(), reason })
        }));
    }

    fn counted(mut self) -> Self {
        self.tally.rejected = (self.refused.len() + self.left.len()) as u64;
        self
    }
}

/// How many of them are the same.
pub fn same(standings: &[Standing]) -> u64 {
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
