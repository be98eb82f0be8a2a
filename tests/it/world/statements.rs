//! The statements that the product sends to the databases of the tests, as their server logs them.
//! None of them may be a DELETE or an UPDATE without a WHERE: a mistake in one would empty a table,
//! and Supabase's API refuses it.
//!
//! The server does not log the script that an API is sent; the stand-in refuses such a statement.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use syncline::demo::Cluster;

use super::postgrest::safeupdate::{REQUIRES_WHERE, verb_without_where};

/// The settings of a server that has its statements looked at. A line begins with the name of the
/// database and that of the program; a statement's other lines begin with a tab.
pub const LOGGED: [(&str, &str); 3] = [
    ("log_statement", "all"),
    ("log_line_prefix", "%d/%a|"),
    // Pages of rows are parameters.
    ("log_parameter_max_length", "0"),
];

/// Looks at the statements of one database when its test ends.
#[derive(Debug)]
pub struct Statements {
    log: PathBuf,
    start: u64,
    database: String,
}

impl Statements {
    /// Begins where the server's log ends now.
    pub fn from_now_on(cluster: &Cluster, database: &str) -> Self {
        let log = cluster.data_dir().with_file_name("log");
        let start = log.metadata().expect("a server has a log").len();
        Self { log, start, database: database.to_owned() }
    }

    /// Says whether a statement with this text was sent since then.
    pub fn has_sent(&self, text: &str) -> bool {
        self.sent().iter().any(|statement| statement.contains(text))
    }

    /// The product's statements since then.
    fn sent(&self) -> Vec<String> {
        // Nothing to read where the server is gone.
        let Ok(mut log) = File::open(&self.log) else { return Vec::new() };
        log.seek(SeekFrom::Start(self.start)).expect("a file can be read from any place");
        let mut log = BufReader::with_capacity(1 << 20, log);
        let (mut line, mut sent) = (Vec::new(), Vec::<String>::new());
        let mut is_ours = false;
        while log.read_until(b'\n', &mut line).expect("a file can be read") > 0 {
            if line[0] != b'\t' {
                let statement = self.statement(&line);
                is_ours = statement.is_some();
                sent.extend(statement);
            } else if let (true, Some(statement)) = (is_ours, sent.last_mut()) {
                *statement += &String::from_utf8_lossy(&line);
            }
            line.clear();
        }
        sent
    }

    /// The first line of a statement of the product. The tests' own connections have no name, and
    /// the programs of Postgres have theirs.
    fn statement(&self, line: &[u8]) -> Option<String> {
        let line = String::from_utf8_lossy(line.strip_prefix(self.database.as_bytes())?);
        // A test may have made a database of its own after this one, and named it after it.
        let (_, line) = line.split_once('/').filter(|(suffix, _)| is_suffix(suffix))?;
        let (program, rest) = line.split_once('|')?;
        let is_ours = program != "[unknown]" && !program.starts_with("p");
        let (_, statement) = rest.strip_prefix("LOG:  ")?.split_once(": ")?;
        is_ours.then(|| statement.to_owned())
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        /// The statements that were looked at already: most tests send the same.
        static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
        if std::thread::panicking() {
            return;
        }
        for statement in self.sent() {
            let is_new = SEEN.lock().expect("no holder panics").insert(statement.clone());
            let verb = if is_new { verb_without_where(&statement) } else { None };
            if let Some(verb) = verb {
                SEEN.lock().expect("no holder panics").remove(&statement);
                panic!("{verb} {REQUIRES_WHERE}: {statement}");
            }
        }
    }
}

fn is_suffix(text: &str) -> bool {
    text.is_empty() || text.starts_with('_')
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::super::{connect, fresh_database};
    use super::verb_without_where;

    /// Runs a statement as a program of that name, and ends the database's test.
    async fn sent_by(program: &str, statement: &str) -> Result<(), String> {
        let database = fresh_database("statements").await;
        let url = format!("{}?application_name={program}", database.url);
        let client = connect(&url).await.unwrap();
        client.batch_execute(&format!("create table t (id int); {statement}")).await.unwrap();
        let ended = catch_unwind(move || drop(database));
        ended.map_err(|panic| panic.downcast_ref::<String>().unwrap().clone())
    }

    #[tokio::test]
    async fn a_statement_without_a_where_fails_the_test_in_which_the_product_sent_it() {
        assert_eq!(sent_by("", "delete from t").await, Ok(()));
        assert_eq!(sent_by("syncline", "delete from t where id = 1").await, Ok(()));
        for statement in
            ["delete from t", "\nupdate t\nset id = 2", "do $$ begin delete from t; end $$"]
        {
            let told = sent_by("syncline", statement).await.unwrap_err();
            assert!(told.contains("requires a WHERE clause: create table t"), "{told}");
        }
    }

    #[test]
    fn a_where_counts_for_its_own_statement_alone() {
        for (sql, verb) in [
            ("delete from t", Some("DELETE")),
            ("DELETE FROM only a.\"b c\" as x;", Some("DELETE")),
            ("delete from t where true", None),
            ("delete from t using (select 1 where true) as w", Some("DELETE")),
            ("delete from t using w where t.id = w.id returning 1", None),
            ("with gone as (delete from t returning 1) select 1 from t where true", Some("DELETE")),
            ("with w as (select 1) update t as x set a = 1 from w", Some("UPDATE")),
            ("with w as (select 1) update t set a = (select 2) where a = 1", None),
            ("begin; update t set a = 1; delete from t where a", Some("UPDATE")),
            ("insert into t values (1) on conflict (id) do update set a = 1", None),
            ("merge into t using s on true when matched then update set a = 1", None),
            ("merge into t using s on true when matched then delete", None),
            ("select 1 from t for no key update of t skip locked", None),
            ("create trigger x before insert or update on t", None),
            ("alter table t add foreign key (a) references b on delete cascade", None),
            ("select 'it''s', '\\'', 1 -- delete from t\n", None),
            ("/* delete from t; */ select $1", None),
            ("do $do$ begin if $1 then delete from t; end if; end $do$", Some("DELETE")),
            ("do $$ begin execute format('update %I set a = 1', 't'); end $$", Some("UPDATE")),
        ] {
            assert_eq!(verb_without_where(sql), verb, "{sql}");
        }
    }
}
