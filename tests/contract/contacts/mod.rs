//! The promises of `ContactStore`, over a connection and behind our function in a project.
//!
//! - `quotas`: those of `Quotas` and `Leases`

mod quotas;
mod records;

use std::time::SystemTime;

use serde_json::json;
use syncline::adapters::postgres::PostgresContacts;
use syncline::engine::model::contacts::conflict::{Conflict, ConflictKind};
use syncline::engine::model::contacts::contact::ContactId;
use syncline::engine::model::contacts::email::Email;
use syncline::engine::model::contacts::mapping::{
    ContactMapping, FieldRule, GroupRule, ImportPolicy, Membership, StatusColumn,
};
use syncline::engine::model::contacts::shadow::{Agreed, AgreedState};
use syncline::engine::model::contacts::subscriber::{MailStatus, MailerLiteId};
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::range::Side;
use syncline::engine::model::table::TableName;
use syncline::jobs::contacts::ports::{
    ColumnChange, ContactStore, IdRange, LoggedAction, PersonCommit,
};
use tokio_postgres::Client;

use super::{Transport, place};
use crate::world::postgrest::Standin;
use crate::world::{Database, connect, fresh_database};

/// A table as a business has it: types that are no text, a value in a word, a trigger.
const CLIENTS: &str = "create table clients (
        id uuid primary key default gen_random_uuid(), email text, \"First Name\" text,
        visits int, email_status text not null default 'ok', is_partner boolean,
        plan text, deleted_at timestamptz, gdpr_erased_at timestamptz,
        updated_at timestamptz not null default '2026-01-02 03:04:05.5Z');
    insert into clients (id, email, \"First Name\", visits, email_status, is_partner, plan) values
        ('00000000-0000-0000-0000-000000000001', ' Ann@Example.com', 'Ann', 3, 'ok', true, 'pro'),
        ('00000000-0000-0000-0000-000000000002', 'bob@example.com', null, 0, 'opted_out', null, 'free'),
        ('00000000-0000-0000-0000-000000000003', 'cyd@example.com', 'Cyd', 1, 'bounced', false, 'free'),
        ('00000000-0000-0000-0000-000000000004', null, 'Dan', 1, 'ok', false, 'free');
    insert into clients (id, email, deleted_at) values
        ('00000000-0000-0000-0000-000000000005', 'eve@example.com', now())";

fn mapping() -> ContactMapping {
    let group = |group: &str, member| GroupRule { group: group.into(), member, create: false };
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
            bounced: Some("bounced".into()),
            junk: None,
        }),
        erased: Some("gdpr_erased_at".into()),
        updated: Some("updated_at".into()),
        accept_resubscribe: false,
        fields: vec![FieldRule::plain("First Name", "name"), FieldRule::plain("visits", "visits")],
        groups: vec![
            group("Partners", Membership::Column("is_partner".into())),
            group("Pro", Membership::When("plan = 'pro'".into())),
        ],
    }
}

/// A database with contacts, and a connection of the test's own to it.
pub struct Contacts {
    pub name: String,
    pub store: PostgresContacts,
    client: Client,
    _database: Database,
    _apis: Vec<Standin>,
}

impl Contacts {
    async fn of(transport: Transport, schema: &str) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let database = fresh_database("contacts").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute(schema).await.unwrap();
        let mut apis = Vec::new();
        let address = place(&database, &client, transport, Side::Target, &mut apis).await;
        let store = PostgresContacts::new(address, "public", mapping(), Meter::default());
        let name = format!("{transport:?}");
        Self { name, store, client, _database: database, _apis: apis }
    }

    /// A database for each transport, with its state tables.
    pub async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for transport in [Transport::Connection, Transport::Function] {
            let contacts = Self::of(transport, CLIENTS).await;
            contacts.store.prepare().await.unwrap();
            all.push(contacts);
        }
        all
    }

    pub async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    pub async fn link(&self, number: u8, subscriber: &str) {
        let text =
            format!("insert into integration_crosswalk values ('{}', '{subscriber}')", id(number));
        self.sql(&text).await;
    }
}

pub fn id(number: u8) -> ContactId {
    ContactId::parse(&format!("00000000-0000-0000-0000-00000000000{number}")).unwrap()
}

pub fn subscriber(text: &str) -> MailerLiteId {
    MailerLiteId::parse(text).unwrap()
}

pub fn emails(texts: &[&str]) -> Vec<Email> {
    texts.iter().map(|text| Email::parse(text).unwrap()).collect()
}

pub fn change(column: &str, was: Option<&str>, value: Option<&str>) -> ColumnChange {
    let [value, was] = [value, was].map(|value| value.map(str::to_owned));
    ColumnChange { column: column.to_owned(), value, was }
}

pub fn commit(number: u8, row: Vec<ColumnChange>) -> PersonCommit {
    let name = Agreed { a: Some("Ann".to_owned()), b: Some("Ann".to_owned()) };
    let status = Agreed { a: MailStatus::Active, b: MailStatus::Unconfirmed };
    PersonCommit {
        contact: id(number),
        subscriber: subscriber(&format!("13123456789012345{number}")),
        decided: None,
        row,
        agreed: AgreedState {
            status: Some(status),
            fields: [("name".to_owned(), name)].into(),
            ..AgreedState::default()
        },
        conflicts: vec![],
        actions: vec![],
    }
}

pub fn conflict(subject: &str, b: &str) -> Conflict {
    Conflict {
        kind: ConflictKind::BothChanged,
        subject: subject.to_owned(),
        base: None,
        a: Some("A".to_owned()),
        b: Some(b.to_owned()),
    }
}

#[tokio::test]
async fn a_row_is_read_as_the_mapping_says() {
    for contacts in Contacts::all().await {
        let rows = contacts.store.new_rows(None, 10).await.unwrap();
        let ids: Vec<&ContactId> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids, [&id(1), &id(2), &id(3), &id(4)], "{}", contacts.name);
        let ann = &rows[0];
        assert_eq!(ann.email.as_deref(), Some(" Ann@Example.com"));
        assert_eq!(ann.values, [Some("Ann".to_owned()), Some("3".to_owned())]);
        assert_eq!((&ann.members[..], ann.is_erased), (&[true, true][..], false));
        let since = ann.updated_at.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_millis(), 1_767_323_045_500);
        let statuses: Vec<MailStatus> = rows.iter().map(|row| row.status).collect();
        use MailStatus::{Active, Bounced, Unsubscribed};
        assert_eq!(statuses, [Active, Unsubscribed, Bounced, Active]);
        assert_eq!((&rows[1].members[..], rows[3].email.as_deref()), (&[false, false][..], None));
        let rest = contacts.store.new_rows(Some(&id(2)), 1).await.unwrap();
        assert_eq!(rest.iter().map(|row| &row.id).collect::<Vec<_>>(), [&id(3)]);
        contacts.sql("update clients set gdpr_erased_at = now() where email like '%nn%'").await;
        assert!(contacts.store.new_rows(None, 1).await.unwrap()[0].is_erased);
    }
}

#[tokio::test]
async fn links_are_found_by_a_range_of_ids_and_by_address() {
    for contacts in Contacts::all().await {
        // As text, 99 is greater than all of the others.
        for (number, id) in [(1, "131234567890123457"), (2, "131234567890123456"), (5, "99")] {
            contacts.link(number, id).await;
        }
        let found = |range: IdRange| {
            let store = &contacts.store;
            async move {
                let links = store.links(&range).await.unwrap();
                links.into_iter().map(|link| link.contact).collect::<Vec<_>>()
            }
        };
        let bound = |text: &str| Some(subscriber(text));
        let between = IdRange { below: bound("131234567890123457"), from: bound("100") };
        assert_eq!(found(between).await, [id(2)], "{}", contacts.name);
        let above = IdRange { below: None, from: bound("131234567890123457") };
        assert_eq!(found(above).await, [id(1)]);
        assert_eq!(found(IdRange::default()).await, [id(1), id(2), id(5)]);

        let links = contacts.store.links(&IdRange::default()).await.unwrap();
        assert!(links[0].row.is_some() && links[0].shadow.is_none());
        assert!(links[2].row.is_none(), "the row has left the condition");
        let linked = contacts.store.links_by_email(&emails(&["ANN@example.com"])).await.unwrap();
        assert_eq!(linked.len(), 1);
        let unlinked =
            contacts.store.unlinked(&emails(&["ann@example.com", "cyd@example.com"])).await;
        let unlinked: Vec<ContactId> = unlinked.unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(unlinked, [id(3)]);
        let counts = contacts.store.counts().await.unwrap();
        assert_eq!((counts.rows, counts.links), (4, 3));
    }
}

#[tokio::test]
async fn a_person_is_saved_as_a_whole() {
    for contacts in Contacts::all().await {
        let people = [
            PersonCommit {
                conflicts: vec![conflict("name", "B")],
                actions: vec![LoggedAction {
                    name: "update".into(),
                    details: json!({"visits": 4}),
                }],
                ..commit(
                    1,
                    vec![
                        change("visits", Some("3"), Some("4")),
                        change("is_partner", Some("true"), Some("false")),
                    ],
                )
            },
            commit(2, vec![change("First Name", None, Some("Bob"))]),
            commit(3, vec![]),
        ];
        let saved = contacts.store.save("run", &people).await.unwrap();
        assert_eq!(saved, [id(1), id(2), id(3)], "{}", contacts.name);
        let rows = "select string_agg(concat_ws(' ', \"First Name\", visits, is_partner), ',' order by id) \
            from clients where id <= '00000000-0000-0000-0000-000000000003'";
        assert_eq!(contacts.text(rows).await, "Ann 4 f,Bob 0,Cyd 1 f");
        let link = contacts.store.links_by_email(&emails(&["ann@example.com"])).await.unwrap();
        let shadow = link[0].shadow.as_ref().expect("a shadow");
        assert_eq!(
            (&shadow.agreed, &shadow.subscriber),
            (&people[0].agreed, &people[0].subscriber)
        );
        let log = "select action || (details ->> 'visits') || run_id from sync_log";
        assert_eq!(contacts.text(log).await, "update4run");
        let conflicts = "select string_agg(subject || b_value || status, ',') from sync_conflicts";
        assert_eq!(contacts.text(conflicts).await, "nameBopen");
    }
}

#[tokio::test]
async fn nothing_is_saved_of_a_person_whose_row_was_changed_meanwhile() {
    for contacts in Contacts::all().await {
        contacts.sql("update clients set visits = 9 where email like '%Ann%'").await;
        let stale = PersonCommit {
            conflicts: vec![conflict("name", "B")],
            actions: vec![LoggedAction { name: "update".into(), details: json!({}) }],
            ..commit(1, vec![change("visits", Some("3"), Some("4"))])
        };
        let other = commit(3, vec![change("visits", Some("1"), Some("2"))]);
        let saved = contacts.store.save("run", &[stale, other]).await.unwrap();
        assert_eq!(saved, [id(3)], "{}", contacts.name);
        let visits =
            "select string_agg(visits::text, ',' order by id) from clients where visits > 1";
        assert_eq!(contacts.text(visits).await, "9,2");
        for table in ["integration_crosswalk", "contact_shadows"] {
            assert_eq!(
                contacts.text(&format!("select a_id::text from {table}")).await,
                id(3).as_str()
            );
        }
        let rest = "select ((select count(*) from sync_log) + (select count(*) from sync_conflicts))::text";
        assert_eq!(contacts.text(rest).await, "0");
    }
}

#[tokio::test]
async fn a_conflict_is_kept_once_and_ends_when_its_question_does() {
    for contacts in Contacts::all().await {
        let held = |conflicts| PersonCommit { conflicts, ..commit(1, vec![]) };
        let all = "select coalesce(string_agg(subject || b_value || status, ',' order by id), '') \
            from sync_conflicts";
        for conflicts in
            [vec![conflict("name", "B"), conflict("city", "C")], vec![conflict("name", "B")]]
        {
            contacts.store.save("run", &[held(conflicts)]).await.unwrap();
        }
        assert_eq!(contacts.text(all).await, "nameBopen,cityCgone", "{}", contacts.name);
        contacts.store.save("run", &[held(vec![conflict("name", "D")])]).await.unwrap();
        assert_eq!(contacts.text(all).await, "nameDopen,cityCgone");
        contacts.store.save("run", &[held(vec![conflict("city", "E")])]).await.unwrap();
        assert_eq!(contacts.text(all).await, "nameDgone,cityCgone,cityEopen");
    }
}

#[tokio::test]
async fn equal_people_are_not_written_again() {
    for contacts in Contacts::all().await {
        let person = [commit(1, vec![change("visits", Some("3"), Some("4"))])];
        contacts.store.save("run", &person).await.unwrap();
        let versions = "select string_agg(v, ',') from (select xmin::text || ctid::text as v from contact_shadows \
            union all select xmin::text || ctid::text from integration_crosswalk \
            union all select xmin::text || ctid::text from clients) as all_rows";
        let before = contacts.text(versions).await;
        let saved = contacts.store.save("run", &[commit(1, vec![])]).await.unwrap();
        assert_eq!((saved, contacts.text(versions).await), (vec![id(1)], before));
    }
}

#[tokio::test]
async fn a_crosswalk_of_an_older_system_is_adopted_or_its_lack_is_named() {
    let old = "create table integration_crosswalk (a_id uuid primary key, b_id bigint unique, note text); \
        insert into integration_crosswalk values ('00000000-0000-0000-0000-000000000001', 131234567890123456, 'x')";
    let contacts = Contacts::of(Transport::Connection, &format!("{CLIENTS}; {old}")).await;
    contacts.store.prepare().await.unwrap();
    let links = contacts.store.links(&IdRange::default()).await.unwrap();
    assert_eq!(links[0].subscriber, subscriber("131234567890123456"));
    contacts.store.save("run", &[commit(1, vec![]), commit(2, vec![])]).await.unwrap();
    let ids = "select string_agg(b_id::text || coalesce(note, ''), ',' order by a_id) \
        from integration_crosswalk";
    assert_eq!(contacts.text(ids).await, "131234567890123451x,131234567890123452");

    let older = "create table sync_log (id int, action text); \
        create table integration_crosswalk (a_id uuid)";
    let contacts = Contacts::of(Transport::Connection, &format!("{CLIENTS}; {older}")).await;
    let fault = contacts.store.prepare().await.expect_err("columns are missing");
    assert_eq!(fault.code, FaultCode::NoState);
    for alter in
        ["integration_crosswalk add b_id text", "sync_log add details jsonb", "add unique (b_id)"]
    {
        assert!(fault.hint.contains(alter), "{}", fault.hint);
    }
    assert!(!fault.hint.contains("add action"), "{}", fault.hint);
}

#[tokio::test]
async fn links_of_an_older_system_that_cannot_be_followed_are_named_with_their_remedy() {
    let old = "create table integration_crosswalk (a_id uuid primary key, b_id text); \
        insert into integration_crosswalk select ('00000000-0000-0000-0000-00000000000' || n)::uuid, b \
        from (values (1, '17'), (2, '17'), (3, 'none'), (4, '18')) as v (n, b)";
    let contacts = Contacts::of(Transport::Connection, &format!("{CLIENTS}; {old}")).await;
    let fault = contacts.store.prepare().await.expect_err("two rows have one subscriber");
    let delete = |number| {
        format!("delete from \"public\".integration_crosswalk where a_id = '{}'", id(number))
    };
    let choice = " (or the other row of subscriber 17)";
    let add = "alter table \"public\".integration_crosswalk add unique (b_id)";
    let [one, two, three] = [1, 2, 3].map(delete);
    let expected = format!("run: {three}; {one}{choice}; {two}{choice}; {add}");
    assert_eq!((fault.code, fault.hint.as_str()), (FaultCode::NoState, expected.as_str()));
    contacts.sql(&format!("{three}; {two}; {add}")).await;
    contacts.store.prepare().await.unwrap();
}

#[tokio::test]
async fn a_table_without_a_uuid_as_its_key_is_named() {
    let schema = "create table clients (id int primary key, email text)";
    let contacts = Contacts::of(Transport::Connection, schema).await;
    let fault = contacts.store.new_rows(None, 1).await.expect_err("the key is a number");
    assert_eq!(fault.code, FaultCode::NoKey);
    assert_eq!(fault.table, Some(TableName::new("public", "clients")));
}
