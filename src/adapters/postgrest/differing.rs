//! Another look at rows that are written over the target's: right before, where what is there may
//! have become the same or newer, and after, where fewer were written than were sent.

use bytes::Bytes;

use super::client::{Change, Verb};
use super::fault::RestError;
use super::lines::Line;
use super::order;
use super::present::{self, Standing, look_by_keys};
use super::put::{Put, Putting, Ready, Sent, same};
use super::query::Query;
use super::read::batches;
use super::rows;
use super::target_fault::Refusal;
use crate::adapters::project::Again;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::reject::TAKEN_VALUE;

/// The code of a row that the target dropped without a word, as a trigger's own refusal has it.
const DROPPED: (&str, &str) = ("P0001", "A trigger of the target dropped the row without a word");

impl Putting<'_> {
    /// Whether the target may call two keys the same that are different texts.
    pub fn folds(&self) -> bool {
        let shape = self.taken.shape;
        let folds = |name: &String| {
            !shape.columns.iter().any(|of| of.name == *name && order::is_native(&of.source_type))
        };
        shape.key.iter().any(folds)
    }

    /// Those that are to be written over the target's, by another look at it. Where it calls
    /// another key the same, `Bob` and `BOB` say, the row is refused and not written over the
    /// other.
    pub async fn still_differing<'l>(
        &self,
        there: Vec<Ready<'l>>,
        put: &mut Put,
    ) -> Result<Vec<Ready<'l>>, RestError> {
        if there.is_empty() {
            return Ok(there);
        }
        let (shape, folds) = (self.taken.shape, self.folds());
        let lines: Vec<&Line> = there.iter().map(|ready| ready.line).collect();
        let standings = look_by_keys(self.of, self.taken, &lines).await?;
        let mut differing = Vec::with_capacity(there.len());
        let mut marked = Vec::new();
        for (ready, standing) in there.into_iter().zip(standings) {
            match standing {
                Standing::Unknown
                    if folds && present::has(self.of, shape, &ready.line.key).await? =>
                {
                    let reason = "The target calls its key the same as another row's";
                    let (code, reason) = (TAKEN_VALUE.to_owned(), reason.to_owned());
                    put.refuse(ready.line, Refusal { code, reason })?;
                }
                Standing::Same => put.tally.unchanged += 1,
                Standing::Marked => marked.push(ready.line),
                Standing::Unknown | Standing::Differs => differing.push(ready),
            }
        }
        self.unmark(&marked, put).await?;
        Ok(differing)
    }

    /// Takes the mark off rows that are otherwise left as they are.
    pub async fn unmark(&self, lines: &[&Line], put: &mut Put) -> Result<(), RestError> {
        let shape = self.taken.shape;
        let Some(Mark { column, kind }) = &shape.mark else { return Ok(()) };
        let value = match kind {
            MarkKind::Time => serde_json::Value::Null,
            MarkKind::Flag => false.into(),
        };
        let body = Bytes::from(serde_json::json!({ column: value }).to_string());
        let keys: Vec<Vec<String>> = lines.iter().map(|line| line.key.values().to_vec()).collect();
        for (name, condition) in batches(&shape.key, &keys) {
            let query = Query::default().with(&name, &condition);
            let change = Change {
                verb: Verb::Patch,
                schema: shape.table.schema(),
                table: shape.table.name(),
                query: query.as_str(),
                prefer: "return=minimal, count=exact",
                body: body.clone(),
                again: Again::IfRefused,
            };
            let listed = rows::write(self.of, self.lease, &change).await?;
            put.tally.updated += listed.total.unwrap_or(0);
        }
        Ok(())
    }

    /// Fewer rows were written than were sent. Those that are in the target as they are, since a
    /// call before did its work or a trigger leaves out what changes nothing, are done; others a
    /// trigger dropped.
    pub async fn not_written<'l>(
        &self,
        part: Vec<Ready<'l>>,
        written: u64,
        put: &mut Put,
    ) -> Result<Sent<'l>, RestError> {
        let lines: Vec<&Line> = part.iter().map(|ready| ready.line).collect();
        let standings = look_by_keys(self.of, self.taken, &lines).await?;
        let same = same(&standings);
        let updated = written.min(same);
        put.tally.updated += updated;
        put.tally.unchanged += same - updated;
        let pairs = part.into_iter().zip(standings).filter(|(_, of)| *of != Standing::Same);
        let rest: Vec<Ready<'_>> = pairs.map(|(ready, _)| ready).collect();
        if same > 0 {
            return Ok(Sent::Rest(rest));
        }
        let (code, reason) = DROPPED;
        let refusal = Refusal { code: code.to_owned(), reason: reason.to_owned() };
        Ok(Sent::Refused(rest, refusal))
    }
}
