//! The port of contacts to their database.

use async_trait::async_trait;

use super::adopted;
use super::records::Records;
use super::rows::{self, ContactTables};
use super::save;
use crate::adapters::postgres::connection::pool::Pool;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::state::tables;
use crate::engine::model::address::Database;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::jobs::contacts::ports::{
    ContactCounts, ContactStore, ErasedPerson, HeldPerson, IdRange, Link, NewRow, OpenQuestion,
    PersonCommit, StrangerRange, TableColumn,
};

/// The database of contacts.
pub struct PostgresContacts {
    pub(super) pool: Pool,
    pub(super) schema: String,
    mapping: ContactMapping,
    key: tokio::sync::OnceCell<String>,
}

impl PostgresContacts {
    /// A database that is reached when it is first needed, with the schema of the state tables.
    /// Calls of an API count in the meter.
    pub fn new(
        database: Database,
        state_schema: impl Into<String>,
        mapping: ContactMapping,
        meter: Meter,
    ) -> Self {
        let pool = Pool::new(database, meter, Step::ConnectTarget);
        let key = tokio::sync::OnceCell::new();
        Self { pool, schema: state_schema.into(), mapping, key }
    }

    /// The schema of the state tables.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The mapping.
    pub(super) fn mapping(&self) -> &ContactMapping {
        &self.mapping
    }

    fn tables<'a>(&'a self, key: &'a str) -> ContactTables<'a> {
        ContactTables { mapping: &self.mapping, key, schema: &self.schema }
    }

    /// The primary key of the mapped table, which must be one column of type uuid.
    pub(super) async fn key(&self) -> Result<&str, Fault> {
        let key = self.key.get_or_try_init(|| async {
            let call = self.pool.call(Step::Plan, Some(&self.mapping.table)).await?;
            let text = "select a.attname::text, a.atttypid = 'uuid'::regtype \
                 from pg_index as i join pg_attribute as a \
                     on a.attrelid = i.indrelid and a.attnum = any(i.indkey) \
                 where i.indrelid = to_regclass($1) and i.indisprimary";
            let asked = Statement::rows(text, [sql::table(&self.mapping.table).into()]);
            let [rows] = call.end(call.run_all(Purpose::Look, [asked]).await)?;
            match &rows[..] {
                [row] if row.get::<bool>(1) => Ok(row.get(0)),
                _ => Err(self.no_key()),
            }
        });
        key.await.map(String::as_str)
    }

    fn no_key(&self) -> Fault {
        let message = "The table of the contacts has no primary key of one column of type uuid";
        let hint = "name the table as `table` in [contacts], and give it such a key, as in \
                    `id uuid primary key default gen_random_uuid()`";
        Fault::new(Step::Plan, FaultCode::NoKey, message, hint).of_table(&self.mapping.table)
    }

    /// Runs a statement that writes. Returns the number of its rows.
    pub(super) async fn write(&self, statement: Statement) -> Result<usize, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let rows = call.run_all(Purpose::Write, [statement]).await;
        call.end(rows.map(|[rows]| rows.len()))
    }

    /// Runs a statement that reads.
    pub(super) async fn read<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, PostgresError>,
    ) -> Result<Vec<T>, Fault> {
        let call = self.pool.call(Step::Read, Some(&self.mapping.table)).await?;
        let rows = call.run_all(Purpose::Look, [statement]).await;
        call.end(rows.and_then(|[rows]| rows.iter().map(read).collect()))
    }
}

#[async_trait]
impl ContactStore for PostgresContacts {
    async fn prepare(&self) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let prepared = async {
            tables::prepare(&call, &self.schema).await?;
            adopted::check(&call, &self.schema).await
        };
        match call.end(prepared.await)? {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    async fn counts(&self) -> Result<ContactCounts, Fault> {
        let counting = self.tables(self.key().await?).counts();
        let count = |row: &Row, place| row.get::<i64>(place).unsigned_abs();
        let counted = self
            .read(counting, |row| Ok(ContactCounts { rows: count(row, 0), links: count(row, 1) }));
        Ok(counted.await?.pop().unwrap_or_default())
    }

    async fn links(&self, range: &IdRange) -> Result<Vec<Link>, Fault> {
        self.read(self.tables(self.key().await?).links(range), rows::link).await
    }

    async fn links_by_email(&self, emails: &[Email]) -> Result<Vec<Link>, Fault> {
        self.read(self.tables(self.key().await?).links_by_email(emails), rows::link).await
    }

    async fn links_by_subscriber(&self, ids: &[MailerLiteId]) -> Result<Vec<Link>, Fault> {
        self.read(self.tables(self.key().await?).links_by_subscriber(ids), rows::link).await
    }

    async fn opt_outs(&self, most: u32) -> Result<Vec<Link>, Fault> {
        self.read(self.tables(self.key().await?).opt_outs(most), rows::link).await
    }

    async fn unlinked(&self, emails: &[Email]) -> Result<Vec<Contact>, Fault> {
        self.read(self.tables(self.key().await?).unlinked(emails), rows::contact).await
    }

    async fn new_rows(&self, after: Option<&ContactId>, most: u32) -> Result<Vec<Contact>, Fault> {
        self.read(self.tables(self.key().await?).new_rows(after, most), rows::contact).await
    }

    async fn save(&self, run: &str, people: &[PersonCommit]) -> Result<Vec<ContactId>, Fault> {
        let key = self.key().await?;
        let call = self.pool.call(Step::Write, Some(&self.mapping.table)).await?;
        let saved = async {
            let saving = save::saving(&self.tables(key), run, people)?;
            let [rows] = call.run_all(Purpose::Write, [saving]).await?;
            let ids = rows.iter().map(|row| ContactId::parse(&row.get::<String>(0)));
            ids.collect::<Result<_, _>>().map_err(|_| PostgresError::Changed)
        };
        call.end(saved.await)
    }

    async fn columns(&self) -> Result<Vec<TableColumn>, Fault> {
        let text = "select attname::text, format_type(atttypid, null) from pg_attribute \
             where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum";
        let asked = Statement::rows(text, [sql::table(&self.mapping.table).into()]);
        self.read(asked, |row| Ok(TableColumn { name: row.get(0), kind: row.get(1) })).await
    }

    async fn import(&self, run: &str, people: &[NewRow]) -> Result<Vec<MailerLiteId>, Fault> {
        let key = self.key().await?;
        let tables = self.tables(key);
        let call = self.pool.call(Step::Write, Some(&self.mapping.table)).await?;
        let made = async {
            let [rows] = call.run_all(Purpose::Write, [tables.importing(run, people)?]).await?;
            let ids = rows.iter().map(|row| MailerLiteId::parse(&row.get::<String>(0)));
            ids.collect::<Result<_, _>>().map_err(|_| PostgresError::Changed)
        };
        call.end(made.await)
    }

    async fn hold(&self, people: &[HeldPerson]) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let held = async {
            let holding = Records(&self.schema).holding(people)?;
            call.run_all(Purpose::Write, [holding]).await
        };
        call.end(held.await).map(|[_]| ())
    }

    async fn open_questions(&self, range: &StrangerRange) -> Result<Vec<OpenQuestion>, Fault> {
        let asked = Records(&self.schema).open_questions(range);
        self.read(asked, |row| Ok(OpenQuestion { person: row.get(0), subject: row.get(1) })).await
    }

    async fn settle(&self, questions: &[OpenQuestion]) -> Result<(), Fault> {
        self.write(Records(&self.schema).settling(questions)).await.map(|_| ())
    }

    async fn suppressed(&self, emails: &[Email]) -> Result<Vec<Email>, Fault> {
        let asked = Records(&self.schema).suppressed(emails);
        let read =
            |row: &Row| Email::parse(&row.get::<String>(0)).map_err(|_| PostgresError::Changed);
        self.read(asked, read).await
    }

    async fn erase(&self, run: &str, person: &ErasedPerson) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let erasing = Records(&self.schema).erasing(run, person);
        call.end(call.run_all(Purpose::Write, erasing).await).map(|_| ())
    }
}
