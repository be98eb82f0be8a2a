//! People in step with MailerLite: the memory of the program and its calls, with 250,000 people.
//!
//! The local MailerLite runs in this process and takes any number of calls, and the program's own
//! bucket of calls is emptied: waiting for the next minute needs no memory. The time on the clock,
//! with all limits, is what `tests/it/contacts/backfill.rs` demands.

use std::process::{Command, Stdio};

use syncline::demo::mailerlite::{LocalMailerLite, Options, Seed};
use tokio::runtime::Builder;

use super::product::{self, Ran};
use super::report::Report;
use super::world::World;

/// The people on both sides.
const PEOPLE: usize = 250_000;

/// The people who change at once.
const CHANGED: usize = 25_000;

/// The people of a page of MailerLite's list.
const PAGE: usize = 1_000;

/// The writes of one call.
const BATCH: usize = 50;

/// The most memory of any command.
const MOST_MEMORY_MIB: f64 = 64.0;

const DATABASE: &str = "contacts";

const CLIENTS: &str = "create table clients (id uuid primary key default gen_random_uuid(), \
    email text not null unique, first_name text, town text, plan text, phone text, note text, \
    email_status text not null default 'ok', updated_at timestamptz not null default now())";

const MAPPING: &str = r#"
[contacts]
table = "public.clients"
email = "email"
import = "hold"
create = true
status = { column = "email_status", unsubscribed = "opted_out" }
updated = "updated_at"

[contacts.limits]
update = "100%"

[[contacts.field]]
column = "first_name"
field = "name"

[[contacts.field]]
column = "town"
field = "city"

[[contacts.field]]
column = "phone"
field = "phone"

[[contacts.field]]
column = "note"
field = "company"
"#;

/// Empties the program's bucket of the calls of a minute whenever it is written.
const EMPTY_BUCKET: &str = "create function empty_bucket() returns trigger language plpgsql as \
        $$ begin new.taken_at = '{}'; new.taken = '{}'; return new; end $$; \
    create trigger empty_bucket before insert or update on token_bucket_state \
        for each row execute function empty_bucket()";

/// Measures a backfill, a sync of nothing, and one of 25,000 changes.
pub fn measure(world: &World, report: &mut Report) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let options = Options { calls_per_minute: u32::MAX, ..Options::default() };
    let mailerlite = runtime.block_on(LocalMailerLite::start(options)).expect("it starts");
    let server = &world.target;
    server.create(DATABASE);
    server.run(DATABASE, CLIENTS);
    let file = std::env::temp_dir().join(format!("syncline-bench-{}.toml", std::process::id()));
    std::fs::write(&file, MAPPING).expect("a file is written");
    let syncline = |arguments: &[&str]| -> (Ran, usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command
            .env_clear()
            .env("TARGET_DATABASE_URL", server.url(DATABASE))
            .env("SYNC_CONFIG", &file)
            .env("MAILERLITE_URL", mailerlite.url())
            .env("MAILERLITE_API_KEY", mailerlite.token())
            .stdout(Stdio::piped())
            .arg("contacts")
            .args(arguments);
        let before = mailerlite.requests();
        let ran = product::ran(&mut command);
        (ran, mailerlite.requests() - before)
    };
    // The state tables are made by the first command.
    syncline(&["backfill"]);
    server.run(DATABASE, EMPTY_BUCKET);
    mailerlite.seed((0..PEOPLE).map(|number| {
        Seed::new(format!("person{number}@example.com"))
            .with_field("name", format!("Name {number}"))
            .with_field("city", "Ulm")
            .with_field("phone", format!("+49 731 {number}"))
            .with_field("company", "Invented GmbH")
    }));
    server.run(
        DATABASE,
        &format!(
            "insert into clients (email, first_name, town, phone, note) \
             select 'person' || n || '@example.com', 'Name ' || n, 'Ulm', '+49 731 ' || n, 'Invented GmbH' \
             from generate_series(0, {PEOPLE} - 1) as n"
        ),
    );
    for people in mailerlite.people().chunks(10_000) {
        let links: Vec<String> =
            people.iter().map(|person| format!("('{}', '{}')", person.email, person.id)).collect();
        let text = format!(
            "insert into integration_crosswalk (a_id, b_id) select c.id, l.id \
             from (values {}) as l (email, id) join clients as c on c.email = l.email",
            links.join(", ")
        );
        server.run(DATABASE, &text);
    }
    server.run(DATABASE, "vacuum (analyze)");

    let pages = PEOPLE.div_ceil(PAGE);
    let title = format!("{PEOPLE} people");
    let mut peak_kib = 0;
    let mut tell = |what: &str, (ran, calls): (Ran, usize), most: usize| {
        peak_kib = peak_kib.max(ran.peak_kib);
        let name = format!("{title}: {what}: calls");
        report.plain(&name, calls.to_string(), format!("at most {most}"), calls <= most);
    };
    // One call asks for the fields.
    tell("backfill", syncline(&["backfill"]), pages + 5);
    tell("sync, nothing changed", syncline(&["sync"]), pages + 1);
    assert_eq!(mailerlite.batches(), 0, "nothing is written");
    let change = "update clients set first_name = 'New', updated_at = now() where email in \
        (select 'person' || n || '@example.com' from generate_series(0, COUNT - 1) as n)";
    server.run(DATABASE, &change.replace("COUNT", &CHANGED.to_string()));
    let most = pages + CHANGED.div_ceil(BATCH) + 1;
    tell(&format!("sync, {CHANGED} changed"), syncline(&["sync"]), most);
    let last = mailerlite.person("person24999@example.com").expect("a person");
    assert_eq!(last.fields.get("name").map(String::as_str), Some("New"), "it was written");
    report.memory_of(&format!("{title}, {CHANGED} changed"), peak_kib, MOST_MEMORY_MIB);
    let _ = std::fs::remove_file(&file);
}
