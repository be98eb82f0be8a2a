//! People in Postgres and at a local MailerLite, and the jobs that keep them in step.
//!
//! - here: both sides of a test, with MailerLite's clock as the only one
//! - `cases`: what other tools fail at
//! - `merges`: the fate of a person
//! - `identity`: who is who, and who is nobody any more
//! - `rails`: the bounds of a run; `cursors`: those of a run that goes on
//! - `races`: people who change while a run is at work; `watched`: sides that say what they do
//! - `kills`: a program that dies at each write; `rough_day`: lost answers and two syncs at once
//! - `smart`: named people; `values`: what sides spell in their own ways
//! - `backfill`: shadows for a crosswalk that is there already, and the speed of all

mod backfill;
mod cases;
mod cursors;
mod identity;
mod kills;
mod merges;
mod races;
mod rails;
mod rough_day;
mod smart;
mod values;
mod watched;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use syncline::adapters::mailerlite::MailerLite;
use syncline::adapters::postgres::PostgresContacts;
use syncline::demo::mailerlite::{Act, LocalMailerLite, Options, PersonView, Seed};
use syncline::engine::model::address::Database as Place;
use syncline::engine::model::contacts::limits::{ChangeKind, Limit, Limits};
use syncline::engine::model::contacts::mapping::{
    ContactMapping, FieldRule, ImportPolicy, StatusColumn,
};
use syncline::engine::model::database::DatabaseUrl;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::secret::SecretText;
use syncline::engine::model::table::TableName;
use syncline::engine::ports::Clock;
use syncline::jobs::contacts::enterprise::{self, EnterpriseReport, EnterpriseRequest};
use syncline::jobs::contacts::sides::ContactSides;
use tokio_postgres::Client;

use crate::world::{Database, connect, fresh_database};

const CLIENTS: &str = "create table clients (id uuid primary key default gen_random_uuid(), \
    email text, first_name text, town text, email_status text not null default 'ok', \
    is_partner boolean not null default false, deleted_at timestamptz, \
    gdpr_erased_at timestamptz)";

/// MailerLite's clock, which moves when somebody sleeps.
struct ListClock(Arc<LocalMailerLite>);

#[async_trait]
impl Clock for ListClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.advance(duration).await;
    }
}

/// Both sides of a test.
pub struct People {
    pub mailerlite: Arc<LocalMailerLite>,
    pub mapping: ContactMapping,
    pub limits: Limits,
    pub budget: Duration,
    client: Client,
    list: MailerLite,
    clock: ListClock,
    database: Database,
}

pub fn mapping() -> ContactMapping {
    ContactMapping {
        table: TableName::new("public", "clients"),
        email: "email".into(),
        filter: Some("deleted_at is null".into()),
        import: ImportPolicy::Hold,
        create: true,
        status: Some(StatusColumn {
            column: "email_status".into(),
            unsubscribed: "opted_out".into(),
            active: None,
            bounced: None,
            junk: None,
        }),
        erased: Some("gdpr_erased_at".into()),
        updated: None,
        accept_resubscribe: false,
        fields: vec![FieldRule::plain("first_name", "name"), FieldRule::plain("town", "city")],
        groups: vec![],
    }
}

impl People {
    pub async fn open() -> Self {
        Self::with(Options::stepped(SystemTime::now())).await
    }

    pub async fn with(options: Options) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let mailerlite = Arc::new(LocalMailerLite::start(options).await.unwrap());
        let database = fresh_database("people").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute(CLIENTS).await.unwrap();
        let key = SecretText::new(mailerlite.token().to_owned());
        let list = MailerLite::new(format!("{}/api", mailerlite.url()), key, Meter::default());
        let caps = ChangeKind::ALL.iter().map(|kind| (*kind, Limit::Percent(100)));
        Self {
            clock: ListClock(Arc::clone(&mailerlite)),
            mailerlite,
            mapping: mapping(),
            limits: Limits { by_kind: caps.collect(), per_day: 5000 },
            budget: Duration::from_secs(3600),
            client,
            list,
            database,
        }
    }

    pub fn store(&self) -> PostgresContacts {
        let place = Place::Server(DatabaseUrl::parse(&self.database.url).unwrap());
        PostgresContacts::new(place, "public", self.mapping.clone(), Meter::default())
    }

    pub fn sides<'a>(&'a self, store: &'a PostgresContacts) -> ContactSides<'a> {
        ContactSides {
            store,
            status: store,
            leases: store,
            list: &self.list,
            mapping: &self.mapping,
            limits: &self.limits,
            clock: &self.clock,
        }
    }

    /// Adds a person to both sides.
    pub async fn add(&self, email: &str, name: &str, town: &str) {
        let seed = Seed::new(email).with_field("name", name).with_field("city", town);
        self.mailerlite.seed([seed]);
        self.add_row(email, name, town).await;
    }

    pub async fn add_row(&self, email: &str, name: &str, town: &str) {
        let text = "insert into clients (email, first_name, town) values ($1, $2, $3)";
        self.client.execute(text, &[&email, &name, &town]).await.unwrap();
    }

    pub fn request(&self) -> EnterpriseRequest {
        EnterpriseRequest::new("run", self.budget)
    }

    pub async fn ask(&self, request: &EnterpriseRequest) -> EnterpriseReport {
        let store = self.store();
        enterprise::sync(&self.sides(&store), request).await.unwrap()
    }

    /// Syncs all, and expects the sync to end.
    pub async fn sync(&self) -> EnterpriseReport {
        let report = self.ask(&self.request()).await;
        assert!(report.done && report.held.is_none(), "{report:?}");
        report
    }

    pub async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    pub async fn text(&self, query: &str) -> String {
        let row = self.client.query_one(query, &[]).await.unwrap();
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// Name, town and status of a row.
    pub async fn row(&self, email: &str) -> String {
        self.text(&format!(
            "select concat_ws(' ', first_name, town, email_status) from clients \
             where email = '{email}'"
        ))
        .await
    }

    /// Kind, subject and status of all conflicts.
    pub async fn conflicts(&self) -> String {
        self.text(
            "select string_agg(concat_ws(' ', kind, subject, status), ',' order by id) \
             from sync_conflicts",
        )
        .await
    }

    pub fn person(&self, email: &str) -> PersonView {
        self.mailerlite.person(email).unwrap()
    }

    /// Name and city of a subscriber.
    pub fn values(&self, email: &str) -> String {
        let person = self.person(email);
        let value = |key: &str| person.fields.get(key).cloned().unwrap_or_default();
        format!("{} {}", value("name"), value("city"))
    }

    pub fn act(&self, email: &str, act: Act) {
        self.mailerlite.act(email, act).unwrap();
    }
}
