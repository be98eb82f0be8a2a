//! A transaction behind an API, where no connection is kept: its statements are a script that our
//! function (`infra/sql/api/run.sql`) runs in one call.
//!
//! Whoever uses it speaks as to a connection. What it asks is written down, and the script runs
//! when an answer is waited for: statements that are joined travel together. A transaction that
//! writes and needs an answer before its next statement is run from its beginning, undone, and run
//! again with what follows; only the run that ends with `commit` is kept. If a statement answers
//! otherwise than before, somebody has changed something in between, and the transaction fails as
//! one does that conflicts with another. A savepoint is a place in the script, and rolling back to
//! it strikes out what follows.
//!
//! - `step`, `answer`: a statement of a script, and what it gives
//! - `call`: the call of the function
//! - `one_call`: a whole transaction in one call
//! - `halves`: a page and its halves in one call
//! - `lease_renewal`: renews the lease while a script is run again and again
//! - `values`: puts values into statements

mod answer;
mod call;
pub mod halves;
mod lease_renewal;
mod one_call;
mod step;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;

use super::fault::PostgresError;
use super::sql::row::Row;
use super::sql::statement::{Gives, Statement};
use super::sql::transaction::{self, Control, Purpose};
use crate::adapters::api::project::Api;
use answer::RawAnswer;
use call::{Answered, Call};
use lease_renewal::Renewal;

pub use answer::{Answer, unreadable};
pub use one_call::OneCall;
pub use step::{Halving, Parts, Step};

/// A connection in use, as far as there is one.
pub struct Script {
    api: Arc<Api>,
    state: Mutex<State>,
    /// Held by whoever runs the script; the others wait for its answers.
    running: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The purpose of the transaction; none outside of one.
    purpose: Option<Purpose>,
    /// Its statements so far, the pinned settings first.
    statements: Vec<ScriptStatement>,
    /// Savepoints and their places.
    savepoints: Vec<(String, usize)>,
    /// The renewal of the lease meanwhile; none before the lease was proved.
    renewal: Option<Renewal>,
    /// The end has been asked for.
    ends: Option<Slot>,
}

#[derive(Clone)]
struct ScriptStatement {
    step: Arc<Step>,
    /// The page that goes with it.
    page: Option<Bytes>,
    listener: Listener,
    answer: Slot,
    /// The answer of its first run.
    first: Arc<OnceLock<RawAnswer>>,
}

/// Says whether somebody waits for a statement's answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Somebody,
    Nobody,
}

/// The place where an answer is left for the caller who waits for it.
type Slot = Arc<Mutex<Option<Result<Answer, PostgresError>>>>;

impl Script {
    /// No transaction yet.
    pub fn new(api: Arc<Api>) -> Self {
        Self { api, state: Mutex::default(), running: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Begins a transaction; nothing is called yet.
    pub fn begin(&self, purpose: Purpose) {
        let mut state = self.state();
        state.purpose = Some(purpose);
        let pins = Step::new(transaction::pins(purpose), Gives::RowCount);
        state.statements.push(ScriptStatement::of(pins, None, Listener::Nobody));
    }

    /// Runs statements whose answers do not matter.
    pub async fn batch(&self, statements: &str) -> Result<(), PostgresError> {
        let step = Step::new(statements.to_owned(), Gives::RowCount);
        let slot = self.write(step, None, Listener::Nobody);
        self.run(slot).await
    }

    /// Steers the transaction: a savepoint is a place in the script, and what is undone is struck
    /// out.
    pub fn control(&self, control: Control<'_>) {
        match control {
            Control::Savepoint(name) => self.state().savepoint(name),
            Control::RollBackTo(name) => self.state().roll_back_to(name),
            Control::Release(name) => self.state().release(name),
            Control::RollBack => *self.state() = State::default(),
            Control::Prepare(statements) => {
                let step = Step::new(statements.to_owned(), Gives::RowCount);
                self.write(step, None, Listener::Nobody);
            }
        }
    }

    /// Runs one statement for its rows, if it gives any.
    pub async fn query(&self, statement: Statement) -> Result<Vec<Row>, PostgresError> {
        self.ask(statement.into()).await.map(Answer::into_rows)
    }

    /// Runs one statement for how many rows it wrote.
    pub async fn execute(&self, statement: &str) -> Result<u64, PostgresError> {
        match self.ask(Step::new(statement.to_owned(), Gives::RowCount)).await? {
            Answer::Number(number) => Ok(number),
            Answer::Rows(_) | Answer::Json(_) => Err(answer::unreadable("a number")),
        }
    }

    /// Runs one statement for the one JSON value it gives, unread.
    pub async fn json(&self, statement: &str) -> Result<Bytes, PostgresError> {
        match self.ask(Step::new(statement.to_owned(), Gives::Json)).await? {
            Answer::Json(bytes) => Ok(bytes),
            Answer::Rows(_) | Answer::Number(_) => Err(answer::unreadable("a page")),
        }
    }

    /// Runs a statement over a page of rows, which is `$2`, a JSON array; a refusal is told by the
    /// next statement.
    pub fn load(&self, statement: String, page: Bytes) {
        self.write(Step::new(statement, Gives::RowCount), Some(page), Listener::Nobody);
    }

    /// Renews the lease by this statement while the transaction is run from its beginning again.
    pub fn renew_by(&self, proof: Statement) {
        self.state().renewal = Some(Renewal::new(proof));
    }

    async fn renew(&self) -> Result<(), PostgresError> {
        let due = self.state().renewal.as_mut().and_then(Renewal::due);
        match due {
            Some(proof) => lease_renewal::renew(&self.api, proof).await,
            None => Ok(()),
        }
    }

    /// Says whether statements that were answered are run again with those that follow.
    fn is_replayed(&self) -> bool {
        self.state().purpose == Some(Purpose::Write)
    }

    /// Ends the script, and keeps what it did.
    pub async fn commit(&self) -> Result<(), PostgresError> {
        let slot = Slot::default();
        self.state().ends = Some(slot.clone());
        self.run(slot).await
    }

    async fn ask(&self, step: Step) -> Result<Answer, PostgresError> {
        let slot = self.write(step, None, Listener::Somebody);
        self.answer_of(&slot).await
    }

    async fn answer_of(&self, slot: &Slot) -> Result<Answer, PostgresError> {
        // Statements that are joined with this one are written down meanwhile.
        tokio::task::yield_now().await;
        let _running = self.running.lock().await;
        if let Some(answer) = slot.lock().expect("no holder panics").take() {
            return answer;
        }
        self.run_all().await?;
        let answer = slot.lock().expect("no holder panics").take();
        answer.unwrap_or_else(|| Err(answer::unreadable("an answer")))
    }

    /// Waits until a statement is run, or the end.
    async fn run(&self, slot: Slot) -> Result<(), PostgresError> {
        tokio::task::yield_now().await;
        let _running = self.running.lock().await;
        let answered = |slot: &Slot| slot.lock().expect("no holder panics").take();
        if let Some(answer) = answered(&slot) {
            return answer.map(|_| ());
        }
        self.run_all().await?;
        answered(&slot).unwrap_or_else(|| Err(answer::unreadable("an answer"))).map(|_| ())
    }

    fn write(&self, step: Step, page: Option<Bytes>, listener: Listener) -> Slot {
        let mut state = self.state();
        let step = Step { alone: state.purpose.is_none(), ..step };
        let written = ScriptStatement::of(step, page, listener);
        let slot = written.answer.clone();
        state.statements.push(written);
        slot
    }

    /// Runs the script as it stands, and hands out the answers. The error is that of the call;
    /// a statement's own is handed to whoever waits for it.
    async fn run_all(&self) -> Result<(), PostgresError> {
        let (written, keep) = {
            let state = self.state();
            (state.to_run(), state.ends.is_some())
        };
        if written.is_empty() {
            self.state().end(Ok(Answer::Number(0)));
            return Ok(());
        }
        let steps: Vec<Arc<Step>> =
            written.iter().map(|statement| statement.step.clone()).collect();
        let steps =
            steps.into_iter().zip(&written).map(|(step, statement)| match statement.first.get() {
                Some(first) if !statement.step.alone && self.is_replayed() => {
                    Arc::new(Step { again: Some(first.get().to_owned()), ..(*step).clone() })
                }
                _ => step,
            });
        let (steps, pages) = call::with_pages(
            steps.collect(),
            written.iter().map(|statement| statement.page.as_ref()),
        );
        let called = match self.renew().await {
            Ok(()) => {
                let writes = self.is_replayed();
                call::call(&self.api, Call { steps: &steps, pages: &pages, keep, writes }).await
            }
            Err(lost) => Err(lost),
        };
        let Answered { answers, kept, failed } = match called {
            Ok(answered) => answered,
            Err(error) => {
                // Otherwise each of those who wait would make the call again.
                for statement in written.iter().filter(|statement| statement.first.get().is_none())
                {
                    statement.set_answer(Err(call::shared(&error)));
                }
                self.state().end(Err(call::shared(&error)));
                return Err(error);
            }
        };
        for (statement, answer) in written.iter().zip(&answers) {
            if !statement.first.get_or_init(|| answer.clone()).is_same(answer) {
                for statement in &written {
                    statement.set_answer(Err(PostgresError::Changed));
                }
                self.state().end(Err(PostgresError::Changed));
                return Err(PostgresError::Changed);
            }
            statement.set_answer(statement.step.read(answer));
        }
        if let Some(refused) = failed {
            let error = PostgresError::Refused(Box::new(refused));
            let rest = &written[answers.len().min(written.len())..];
            for statement in rest.iter().skip(1) {
                statement.set_answer(Err(call::aborted()));
            }
            self.state().end(Err(call::aborted()));
            // The failure of a statement whose caller has stopped waiting is reported to the
            // script's runner.
            return match rest.first() {
                Some(statement)
                    if statement.listener == Listener::Somebody
                        && statement.first.get().is_none() =>
                {
                    statement.set_answer(Err(error));
                    Ok(())
                }
                Some(statement) => {
                    statement.set_answer(Err(call::shared(&error)));
                    Err(error)
                }
                None => Err(error),
            };
        }
        if kept {
            let ends = self.state().ends.take();
            *self.state() = State::default();
            if let Some(ends) = ends {
                *ends.lock().expect("no holder panics") = Some(Ok(Answer::Number(0)));
            }
        }
        Ok(())
    }
}

impl State {
    /// The statements to run: those of a transaction that writes all from its beginning, otherwise
    /// those without an answer yet, with the settings before them.
    fn to_run(&self) -> Vec<ScriptStatement> {
        let again = self.purpose == Some(Purpose::Write);
        let is_pins = |statement: &ScriptStatement| {
            matches!(statement.step.gives, Gives::RowCount) && !statement.step.alone
        };
        let pins = self.statements.iter().position(is_pins);
        let is_due = |(at, statement): &(usize, &ScriptStatement)| {
            let is_new = statement.first.get().is_none();
            is_new || (!statement.step.alone && (again || Some(*at) == pins))
        };
        let due: Vec<ScriptStatement> = self
            .statements
            .iter()
            .enumerate()
            .filter(is_due)
            .map(|(_, statement)| statement.clone())
            .collect();
        match due.iter().any(|statement| statement.first.get().is_none())
            || (again && self.ends.is_some())
        {
            true => due,
            false => Vec::new(),
        }
    }

    fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.statements.len()));
    }

    /// Forgets the last savepoint of that name and those after it; an earlier one of the same name
    /// is in force again.
    fn release(&mut self, name: &str) {
        if let Some(at) = self.savepoints.iter().rposition(|(own, _)| own == name) {
            self.savepoints.truncate(at);
        }
    }

    fn roll_back_to(&mut self, name: &str) {
        let Some(at) = self.savepoints.iter().rposition(|(own, _)| own == name) else { return };
        let place = self.savepoints[at].1;
        self.savepoints.truncate(at + 1);
        self.statements.truncate(place);
    }

    fn end(&mut self, with: Result<Answer, PostgresError>) {
        if let Some(ends) = self.ends.take() {
            *ends.lock().expect("no holder panics") = Some(with);
            *self = Self::default();
        }
    }
}

impl ScriptStatement {
    fn of(step: Step, page: Option<Bytes>, listener: Listener) -> Self {
        let (answer, first) = (Slot::default(), Arc::default());
        Self { step: Arc::new(step), page, listener, answer, first }
    }

    fn set_answer(&self, answer: Result<Answer, PostgresError>) {
        *self.answer.lock().expect("no holder panics") = Some(answer);
    }
}
