//! The tables in files: what psql restores twice is what was exported.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use syncline::engine::model::range::Side;

use crate::values::encodings;
use crate::values::every_type;
use crate::values::own_types;
use crate::world::cluster;
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;
use crate::world::servers::{not_tested, release};

/// A directory of one test's own.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes it, named after the pair.
    pub fn of(pair: &Pair) -> Self {
        let name = format!("syncline-export-{}-{}", std::process::id(), pair.source.name);
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temporary directory takes another");
        Self(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Returns the names of the files in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the command.
pub fn export(pair: &Pair, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .arg("export")
        .args(arguments)
        .env_clear()
        .envs(pair.settings())
        .output()
        .expect("the executable runs")
}

/// Runs the command, which goes well.
pub fn exported(pair: &Pair, arguments: &[&str]) -> Output {
    let output = export(pair, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    output
}

/// Returns a command's stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The server's own program; none where it is not installed, and then it says so.
pub fn psql() -> Option<PathBuf> {
    let found = cluster().binaries().join("psql");
    let found = found.is_file().then_some(found);
    if found.is_none() {
        not_tested("there is no psql beside the server");
    }
    found
}

fn run(psql: &Path, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(psql);
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]).args(arguments);
    // What a person's own session has as its defaults changes nothing.
    command.env("PGOPTIONS", "-c DateStyle=German -c TimeZone=Asia/Tokyo -c search_path=public");
    command.env("PGCLIENTENCODING", "LATIN1").stdin(Stdio::null());
    command.output().expect("psql runs")
}

/// Restores a file into the target.
pub fn restored(psql: &Path, pair: &Pair, file: &str) {
    let output = run(psql, &pair.target.url, &["-f", file]);
    assert!(output.status.success(), "{}", said(&output));
}

const VERSIONS: &str =
    "select md5(string_agg(xmin::text || ctid::text, ',' order by ctid)) from ONLY";

async fn versions(pair: &Pair, table: &str) -> String {
    pair.text_target(&VERSIONS.replace("ONLY", table)).await
}

#[tokio::test]
async fn a_value_of_every_type_is_restored_twice_and_the_second_time_writes_nothing() {
    let Some(psql) = psql() else { return };
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await;
    pair.sql_source(&every_type::rows(release)).await;
    let folder = Folder::of(&pair);
    let file = folder.path("all.sql");
    exported(&pair, &["--format", "sql", "--output", &file]);

    restored(&psql, &pair, &file);
    every_type::assert_same_bytes(&pair, release).await;
    let before = versions(&pair, "text_0").await;
    restored(&psql, &pair, &file);

    assert_eq!(versions(&pair, "text_0").await, before, "equal rows were written again");
    every_type::assert_same_bytes(&pair, release).await;
    let tables = every_type::tables(release);
    pair.assert_equal(&tables.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn csv_of_every_type_is_what_psql_copies_back() {
    let Some(psql) = psql() else { return };
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await;
    pair.sql_source(&every_type::rows(release)).await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "csv", "--output", &folder.path("backup")]);

    let mut script = String::from("set datestyle = 'ISO, YMD'; set client_encoding = 'UTF8';\n");
    for table in every_type::tables(release) {
        let file = folder.path(&format!("backup/{table}.csv"));
        script.push_str(&format!("\\copy public.{table} from '{file}' csv header\n"));
    }
    std::fs::write(folder.path("script"), script).unwrap();
    restored(&psql, &pair, &folder.path("script"));

    every_type::assert_same_bytes(&pair, release).await;
}

/// Tables that point to each other in every way, and names that SQL means something by.
pub const SHAPES: &str = "create type mood as enum ('glad', 'sad''s'); create schema sales; \
    create table parents (id int generated always as identity primary key, name text, \
        twice text generated always as (name || name) stored); \
    create table sales.lines (a int, \"b c\" text, parent int not null references parents, mood mood, \
        primary key (\"b c\", a)); \
    create table keys_only (a int, b int, primary key (a, b)); \
    create table \"Odd\n\"\"; drop table keys_only; --\" (\"select\" int primary key, \":x\" text); \
    create table tree (id int primary key, up int references tree, name text); \
    create table teams (id int primary key, head int); \
    create table people (id int primary key, team int not null references teams); \
    alter table teams add foreign key (head) references people; \
    create table chicken (id int primary key, egg int not null); \
    create table egg (id int primary key, chicken int not null references chicken); \
    alter table chicken add foreign key (egg) references egg deferrable; \
    create table parted (id int, n int, primary key (id)) partition by range (id); \
    create table parted_1 partition of parted for values from (0) to (100);";

/// Their rows.
pub const SHAPES_ROWS: &str = "insert into parents (id, name) overriding system value values (7, 'it''s'), (9, null); \
    insert into sales.lines values (1, E'a\\n\\r\\n\\\\', 7, 'sad''s'), (2, '', 9, null); \
    insert into keys_only values (1, 2), (3, 4); \
    insert into \"Odd\n\"\"; drop table keys_only; --\" values (1, ':x :''x'' \\q'); \
    insert into tree select i, null, 'n' || i from generate_series(1, 5000) i; \
    update tree set up = 5001 - id; \
    insert into teams values (1, null), (2, null); insert into people values (1, 1), (2, 2); \
    update teams set head = 3 - id; \
    begin; set constraints all deferred; insert into chicken values (1, 1); insert into egg values (1, 1); \
    commit; insert into parted values (5, 50);";

/// Their names.
pub const SHAPES_TABLES: [&str; 10] = [
    "parents",
    "sales.lines",
    "keys_only",
    "\"Odd\n\"\"; drop table keys_only; --\"",
    "tree",
    "teams",
    "people",
    "chicken",
    "egg",
    "parted",
];

#[tokio::test]
async fn tables_of_every_shape_are_restored_twice_and_what_had_changed_is_as_it_was() {
    let Some(psql) = psql() else { return };
    let pair = Pair::with(SHAPES).await.set("SYNC_TABLES", SHAPES_TABLES.join(","));
    pair.sql_source(SHAPES_ROWS).await;
    let folder = Folder::of(&pair);
    let file = folder.path("all.sql");
    exported(&pair, &["--format", "sql", "--output", &file]);

    restored(&psql, &pair, &file);
    pair.assert_equal(&SHAPES_TABLES).await;
    let before = versions(&pair, "tree").await;
    restored(&psql, &pair, &file);
    assert_eq!(versions(&pair, "tree").await, before, "equal rows were written again");
    let changed = "begin; set constraints all deferred; update tree set up = null, name = 'x'; \
        delete from egg; delete from chicken; update parents set name = 'other'; \
        delete from sales.lines; commit";
    pair.sql_target(changed).await;
    restored(&psql, &pair, &file);
    pair.assert_equal(&SHAPES_TABLES).await;
}

#[tokio::test]
async fn a_restore_that_fails_at_a_row_changes_nothing() {
    let Some(psql) = psql() else { return };
    let tables = "create table a (id int primary key); create table b (id int primary key";
    let pair = Pair::of(&format!("{tables})"), &format!("{tables} check (id < 3))")).await;
    pair.sql_source("insert into a values (1); insert into b values (1), (3)").await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    for more in [&[][..], &["-v", "ON_ERROR_STOP=0"]] {
        let file = folder.path("all.sql");
        let arguments = [&["-f", file.as_str()][..], more].concat();
        let output = run(&psql, &pair.target.url, &arguments);
        assert!(said(&output).contains("check constraint"), "{}", said(&output));
        assert_eq!(pair.text_target("select count(*)::text from a").await, "0", "{more:?}");
    }
}

#[tokio::test]
async fn a_circle_that_nothing_opens_is_told_in_the_file() {
    let circle = "create table a (id int primary key, b int not null); \
        create table b (id int primary key, a int not null references a); \
        alter table a add foreign key (b) references b";
    let pair = Pair::with(circle).await;
    let output = exported(&pair, &["--format", "sql"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("-- Note: public.a points to public.b by (b)"), "{text}");
    assert!(!text.contains("points to public.a"), "{text}");
}

#[tokio::test]
async fn keys_go_on_behind_those_that_were_restored_and_are_never_set_back() {
    let Some(psql) = psql() else { return };
    let pair = Pair::with(
        "create sequence \"N's\" increment -1; create sequence later start 1000; \
         create table t (id int generated always as identity primary key, \
            n int unique default nextval('public.\"N''s\"')); \
         create table l (id int primary key default nextval('later'))",
    )
    .await;
    pair.sql_source("insert into l values (5)").await;
    pair.sql_source(
        "insert into t select from generate_series(1, 50); delete from t where id > 40",
    )
    .await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    let drawn = "with drawn as (insert into t default values returning id, n) \
        select id || ' ' || n from drawn";
    restored(&psql, &pair, &folder.path("all.sql"));
    assert_eq!(pair.text_target(drawn).await, "51 -51");
    restored(&psql, &pair, &folder.path("all.sql"));
    assert_eq!(pair.text_target(drawn).await, "52 -52");
    assert_eq!(pair.text_target("select nextval('later')::text").await, "1000");
}

#[tokio::test]
async fn letters_and_bytes_of_any_encoding_are_restored_and_json_is_utf8_or_nothing() {
    if !connects_to(Side::Source, "bytes that are no UTF-8") {
        return;
    }
    let Some(psql) = psql() else { return };
    let table = "create table t (id int primary key, s text)";
    let raw = encodings::bytes("e4ff");
    let cases =
        [("LATIN1", "UTF8", "'Größe'", Some(0)), ("SQL_ASCII", "SQL_ASCII", &*raw, Some(1))];
    for (source, target, value, json) in cases {
        let pair = encodings::pair(source, target, table, table).await;
        pair.sql_source(&format!("insert into t values (1, {value})")).await;
        let folder = Folder::of(&pair);
        exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
        restored(&psql, &pair, &folder.path("all.sql"));
        let told = "select encode(convert_to(s, current_setting('server_encoding')), 'hex') from t";
        let same = match source == target {
            true => pair.text_source(told).await,
            false => "4772c3b6c39f65".to_owned(),
        };
        assert_eq!(pair.text_target(told).await, same, "{source}");
        let lines = export(&pair, &["--format", "jsonl"]);
        assert_eq!(lines.status.code(), json, "{}", said(&lines));
    }
}

#[tokio::test]
async fn types_of_a_databases_own_are_restored_twice_from_any_schema_into_any() {
    let Some(psql) = psql() else { return };
    let (pair, columns) = own_types::both_sides().await;
    pair.sql_source(&own_types::rows(&columns)).await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    let names: Vec<&str> = columns.iter().map(|column| column.table.as_str()).collect();
    for _ in 0..2 {
        restored(&psql, &pair, &folder.path("all.sql"));
        pair.assert_equal(&names).await;
    }
}

#[tokio::test]
async fn triggers_of_the_target_find_what_they_name_without_a_schema() {
    let Some(psql) = psql() else { return };
    let table = "create table t (id int primary key)";
    let triggers = "create table seen (id int); create function see() returns trigger language plpgsql \
        as $$ begin insert into seen values (new.id); return new; end $$; \
        create trigger see after insert on t for each row execute function see()";
    let pair = Pair::of(table, &format!("{table}; {triggers}")).await;
    pair.sql_source("insert into t values (1)").await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    restored(&psql, &pair, &folder.path("all.sql"));
    restored(&psql, &pair, &folder.path("all.sql"));
    assert_eq!(pair.text_target("select string_agg(id::text, ',') from seen").await, "1");
}
