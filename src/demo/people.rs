//! Invented people in a throwaway database and in a local MailerLite, as a business has them that
//! an older system kept in step: a crosswalk, and nothing that says what both sides agreed on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::data::DataError;
use super::mailerlite::{Act, LocalMailerLite, PersonView, Seed, Status};
use super::session::Session;

/// The people whom both sides have.
pub const PEOPLE: u32 = 2_000;

/// The people who had left at MailerLite, without a word in the database.
pub const LEFT: std::ops::Range<u32> = 1_901..1_913;

/// The people whose names are corrected in the database.
pub const RENAMED: std::ops::Range<u32> = 101..251;

/// The people who move, and say so at MailerLite.
pub const MOVED: std::ops::Range<u32> = 201..321;

/// A person whose name both sides change.
pub const BOTH: u32 = 401;

/// A person who leaves at MailerLite.
pub const LEAVES: u32 = 402;

/// A person who opts out in the database.
pub const OPTS_OUT: u32 = 403;

/// A person who asks to be forgotten.
pub const FORGOTTEN: u32 = 404;

/// A person whose address a second row has, too, in capitals.
pub const TWIN: u32 = 405;

/// A person whose city MailerLite does not take.
pub const REFUSED: u32 = 406;

/// A person whom the database alone knows.
pub const NEW: &str = "nora.newcomer@example.com";

/// A person whom MailerLite alone knows.
pub const STRANGER: &str = "sam.stranger@example.com";

const FIRST: [&str; 20] = [
    "Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jan", "Kim", "Leo", "Mia",
    "Nils", "Olga", "Paul", "Rosa", "Sven", "Tina", "Uwe",
];

const CITIES: [&str; 7] = ["Bern", "Bonn", "Graz", "Jena", "Linz", "Ulm", "Wien"];

/// MailerLite's longest value has 1,024 characters.
const TOO_LONG: usize = 2_000;

const TABLES: &str = "create table clients (id uuid primary key, email text not null,
        first_name text, city text, email_status text, deleted_at timestamptz,
        gdpr_erased_at timestamptz);
    create table integration_crosswalk (a_id uuid primary key, b_id text not null unique)";

/// The rows and the subscribers of the demo.
pub struct People {
    session: Session,
    /// The other side.
    pub mailerlite: LocalMailerLite,
}

/// A row of the clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub email: String,
    /// The first name.
    pub name: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The consent.
    pub status: Option<String>,
}

/// Everything that both sides hold. Two that are equal have no write between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A hash over the versions of all rows, and of all shadows.
    rows: String,
    subscribers: Vec<PersonView>,
}

/// The address of a person.
pub fn email(number: u32) -> String {
    format!("{}.{number}@example.com", first_name(number).to_lowercase())
}

/// The first name of a person.
pub fn first_name(number: u32) -> &'static str {
    FIRST[number as usize % FIRST.len()]
}

fn city(number: u32) -> &'static str {
    CITIES[number as usize % CITIES.len()]
}

fn key(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

impl People {
    /// Fills an empty database and a MailerLite.
    pub async fn open(url: &str, mailerlite: LocalMailerLite) -> Result<Self, DataError> {
        let session = Session::open(url).await.map_err(DataError::Connect)?;
        let seed = |number| {
            let seed = Seed::new(email(number)).with_field("name", first_name(number));
            let status = if LEFT.contains(&number) { Status::Unsubscribed } else { Status::Active };
            seed.with_field("city", city(number)).with_status(status)
        };
        mailerlite.seed((1..=PEOPLE).map(seed));
        let people = Self { session, mailerlite };
        people.run("make the tables", TABLES).await?;
        let ids = people.subscribers();
        let (mut rows, mut links) = (String::new(), String::new());
        for number in 1..=PEOPLE {
            let (email, name, city, key) =
                (email(number), first_name(number), city(number), key(number));
            let comma = if number == 1 { "" } else { ", " };
            let id = ids[&email].id;
            let _ = write!(rows, "{comma}('{key}', '{email}', '{name}', '{city}', 'subscribed')");
            let _ = write!(links, "{comma}('{key}', '{id}')");
        }
        let fill = format!(
            "insert into clients (id, email, first_name, city, email_status) values {rows}; \
             insert into integration_crosswalk values {links}; analyze"
        );
        people.run("load the people", &fill).await?;
        Ok(people)
    }

    /// Lets people change on both sides, as they do in a day.
    pub async fn live_a_day(&self) -> Result<(), DataError> {
        let keys = |people: std::ops::Range<u32>| {
            format!("between '{}' and '{}'", key(people.start), key(people.end - 1))
        };
        let twin = email(TWIN).to_uppercase();
        let statements = [
            format!(
                "update clients set first_name = first_name || ' Maria' where id {}",
                keys(RENAMED)
            ),
            format!("update clients set first_name = 'Kate' where id = '{}'", key(BOTH)),
            format!(
                "update clients set email_status = 'unsubscribed' where id = '{}'",
                key(OPTS_OUT)
            ),
            format!("update clients set gdpr_erased_at = now() where id = '{}'", key(FORGOTTEN)),
            format!("insert into clients (id, email) values ('{}', '{twin}')", key(PEOPLE + 1)),
            format!(
                "insert into clients (id, email, first_name) values ('{}', '{NEW}', 'Nora')",
                key(PEOPLE + 2)
            ),
            format!(
                "update clients set city = repeat('x', {TOO_LONG}) where id = '{}'",
                key(REFUSED)
            ),
        ];
        self.run("change people", &statements.join("; ")).await?;
        for number in MOVED {
            self.act(number, Act::Edit("city", Some("Basel".to_owned())));
        }
        self.act(BOTH, Act::Edit("name", Some("Katherine".to_owned())));
        self.act(LEAVES, Act::Unsubscribe);
        self.mailerlite.seed([Seed::new(STRANGER).with_field("name", "Sam")]);
        Ok(())
    }

    fn act(&self, number: u32, act: Act) {
        self.mailerlite.act(&email(number), act).expect("the person was added before");
    }

    /// Corrects the value that MailerLite does not take.
    pub async fn correct_refused(&self) -> Result<(), DataError> {
        let correct = format!("update clients set city = 'Riga' where id = '{}'", key(REFUSED));
        self.run("correct a city", &correct).await
    }

    /// Overwrites all names, as a bad deploy does.
    pub async fn deploy_badly(&self) -> Result<(), DataError> {
        self.run("break all names", "update clients set first_name = 'undefined'").await
    }

    /// The number of shadows: states that both sides agreed on.
    pub async fn shadows(&self) -> Result<i64, DataError> {
        self.number("select count(*) from contact_shadows").await
    }

    /// The number of hashes that are kept of forgotten people.
    pub async fn tombstones(&self) -> Result<i64, DataError> {
        self.number("select count(*) from contact_tombstones").await
    }

    /// The rows.
    pub async fn clients(&self) -> Result<Vec<Client>, DataError> {
        let query = "select email, first_name, city, email_status from clients order by id";
        let rows = self.session.query(query, &[]).await.map_err(refused("read the clients"))?;
        let client = |row: &tokio_postgres::Row| Client {
            email: row.get(0),
            name: row.get(1),
            city: row.get(2),
            status: row.get(3),
        };
        Ok(rows.iter().map(client).collect())
    }

    /// The subscribers by their addresses, deleted ones among them.
    pub fn subscribers(&self) -> BTreeMap<String, PersonView> {
        self.mailerlite.people().into_iter().map(|person| (person.email.clone(), person)).collect()
    }

    /// Everything that both sides hold now. The shadows are part of it once there are any.
    pub async fn snapshot(&self) -> Result<Snapshot, DataError> {
        let versions = |table: &str| {
            format!("select md5(string_agg(t.xmin::text || t::text, ',' order by a)) from {table}")
        };
        let mut rows = self.text(&versions("(select xmin, id as a, c.* from clients c) t")).await?;
        let exist = "select count(*) from pg_class where relname = 'contact_shadows'";
        if self.number(exist).await? > 0 {
            let shadows = "(select xmin, a_id as a, s.* from contact_shadows s) t";
            rows += &self.text(&versions(shadows)).await?;
        }
        Ok(Snapshot { rows, subscribers: self.mailerlite.people() })
    }

    async fn run(&self, step: &str, statements: &str) -> Result<(), DataError> {
        self.session.batch_execute(statements).await.map_err(refused(step))
    }

    async fn number(&self, query: &str) -> Result<i64, DataError> {
        let row = self.session.query_one(query, &[]).await.map_err(refused("count"))?;
        Ok(row.get(0))
    }

    async fn text(&self, query: &str) -> Result<String, DataError> {
        let row = self.session.query_one(query, &[]).await.map_err(refused("read the versions"))?;
        Ok(row.get::<_, Option<String>>(0).unwrap_or_default())
    }
}

fn refused(step: &str) -> impl Fn(tokio_postgres::Error) -> DataError {
    move |error| DataError::Refused(step.to_owned(), error)
}
