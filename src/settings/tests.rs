//! The settings as a whole: what wins, what contradicts, what is said at once and never shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;

use crate::engine::model::deletes::Deletes;
use crate::engine::model::table::TableName;

use super::*;

pub(super) const SOURCE: (&str, &str) =
    ("SOURCE_DATABASE_URL", "postgres://u:hunter2@old.example.com/app");
pub(super) const TARGET: (&str, &str) =
    ("TARGET_DATABASE_URL", "postgres://u:hunter2@new.example.com/app");

fn lookup(env: &[(&str, &str)], asked: &str) -> Option<String> {
    env.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
}

pub(super) fn settings(env: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    Settings::read(&|asked| lookup(env, asked))
}

pub(super) fn message(env: &[(&str, &str)]) -> String {
    settings(env).unwrap_err().to_string()
}

/// A `syncline.toml` for as long as the test runs.
pub(super) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(super) fn new(test: &str, text: &str) -> Self {
        let name = format!("syncline-settings-{}-{test}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(super) fn variable(&self) -> (&str, &str) {
        ("SYNC_CONFIG", self.0.to_str().unwrap())
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn two_databases_are_enough() {
    let settings = settings(&[SOURCE, TARGET]).unwrap();

    let [pipeline] = &settings.pipelines[..] else { panic!("there is one pipeline") };
    assert_eq!(pipeline.pipeline.name, "slave-to-prod");
    assert_eq!(pipeline.source.address.label(), "old.example.com:5432/app");
    assert_eq!(pipeline.target.address.label(), "new.example.com:5432/app");
    assert!(pipeline.pipeline.tables.is_none() && pipeline.pipeline.rules.is_empty());
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.state_schema, "public");
}

#[test]
fn every_problem_is_said_at_once_and_by_name() {
    let message = message(&[
        ("SOURCE_DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("TARGET_DATABASE_URL", " "),
        ("SYNC_TABLES", "a,,b"),
        ("SYNC_BUDGET_SECONDS", "-1"),
        ("SYNC_PAGE_ROWS", "many"),
        ("SYNC_LEASE_SECONDS", "0"),
        ("SYNC_OVERLAP_SECONDS", "1.5"),
        ("SYNC_STATE_SCHEMA", "my-schema"),
        ("APP_URL", "example.com"),
        ("SYNC_ADMIN_TOKEN", "hunter2"),
        ("QSTASH_NEXT_SIGNING_KEY", "hunter2"),
        ("SYNC_LOCAL", "maybe"),
    ]);

    assert!(message.starts_with("12 settings are wrong or missing:\n  "), "{message}");
    assert_eq!(message.lines().count(), 13);
    for line in [
        "SOURCE_DATABASE_URL: The scheme must be postgres:// (found `mysql`). It is the database th",
        "TARGET_DATABASE_URL: It is not set; write postgres://USER:PASSWORD@HOST:5432/DATABASE, or",
        "SYNC_TABLES: A name is missing",
        "SYNC_BUDGET_SECONDS: It must be a whole number from 1 to 86400",
        "SYNC_PAGE_ROWS: ",
        "SYNC_LEASE_SECONDS: ",
        "SYNC_OVERLAP_SECONDS: ",
        "SYNC_STATE_SCHEMA: '-' is unexpected",
        "APP_URL: ",
        "SYNC_ADMIN_TOKEN: ",
        "QSTASH_NEXT_SIGNING_KEY: ",
        "SYNC_LOCAL: ",
    ] {
        assert!(message.contains(&format!("\n  {line}")), "{line} is not in {message}");
    }
    assert!(!message.contains("hunter2"));
}

#[test]
fn the_function_also_needs_somebody_who_may_call_it() {
    let read = |env: &[(&str, &str)]| Settings::read_for_function(&|asked| lookup(env, asked));
    let token = ("SYNC_ADMIN_TOKEN", "sixteen-letters!");
    let key = ("QSTASH_CURRENT_SIGNING_KEY", "sig_ours");

    assert!(read(&[SOURCE, TARGET, token]).is_ok());
    assert!(settings(&[SOURCE, TARGET]).is_ok());
    let nothing = read(&[SOURCE]).unwrap_err().to_string();
    assert!(nothing.contains("TARGET_DATABASE_URL: ") && nothing.contains("Neither is set"));
    let no_url = read(&[SOURCE, TARGET, key]).unwrap_err().to_string();
    assert!(no_url.contains("APP_URL: It is not set"));
}

#[test]
fn a_database_is_not_synced_with_itself() {
    let other_spelling = ("TARGET_DATABASE_URL", "postgres://v:hunter2@OLD.example.com:5432/app");
    let message = message(&[SOURCE, other_spelling]);

    let expected = "Pipeline slave-to-prod: Source and target are the same database, ";
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains("hunter2"));
}

#[test]
fn tables_are_listed_in_sqls_manner() {
    let list = ("SYNC_TABLES", "Users, \"We\"\"ird, t.able\", app.jobs");
    let settings = settings(&[SOURCE, TARGET, list]).unwrap();

    let expected = [("public", "users"), ("public", "We\"ird, t.able"), ("app", "jobs")];
    let expected = expected.map(|(schema, name)| TableName::new(schema, name));
    assert_eq!(settings.pipelines[0].pipeline.tables.as_deref(), Some(&expected[..]));
    let twice = message(&[SOURCE, TARGET, ("SYNC_TABLES", "jobs, public.JOBS")]);
    assert!(twice.contains("SYNC_TABLES: public.jobs stands here twice"), "{twice}");
}

#[test]
fn the_state_schema_is_a_name_in_sqls_manner() {
    for (text, schema) in [("Sync", "sync"), ("\"Sync\"", "Sync"), (" ", "public")] {
        let settings = settings(&[SOURCE, TARGET, ("SYNC_STATE_SCHEMA", text)]).unwrap();
        assert_eq!(settings.state_schema, schema);
    }
    assert!(message(&[SOURCE, TARGET, ("SYNC_STATE_SCHEMA", "a.b")]).contains("SYNC_STATE_SCHEMA"));
}

#[test]
fn the_environment_wins_over_a_file_with_one_pipeline() {
    let file = ConfigFile::new(
        "wins",
        "[[pipeline]]\nname = \"p\"\nsource = \"postgres://u:hunter2@file/d\"\n\
         target = \"postgres://u@file/e\"\ntables = [\"a\", \"b\"]\n\
         [[pipeline.table]]\nname = \"a\"\ncursor = \"c\"\n",
    );
    let config = file.variable();

    let single = &settings(&[config]).unwrap().pipelines[0];
    assert_eq!(
        (single.pipeline.name.as_str(), single.source.address.label().as_str()),
        ("p", "file:5432/d")
    );
    assert_eq!(single.pipeline.tables.as_ref().unwrap().len(), 2);
    let both = &settings(&[config, SOURCE, ("SYNC_TABLES", "z")]).unwrap().pipelines[0];
    assert_eq!(both.source.address.label(), "old.example.com:5432/app");
    assert_eq!(both.target.address.label(), "file:5432/e");
    assert_eq!(both.pipeline.tables.as_deref(), Some(&[TableName::new("public", "z")][..]));
    let target = &settings(&[config, TARGET]).unwrap().pipelines[0].target.address;
    assert_eq!(target.label(), "new.example.com:5432/app");
    assert_eq!(both.pipeline.rules[0].cursor.as_deref(), Some("c"));
}

#[test]
fn several_pipelines_have_their_own_databases_or_the_common_ones() {
    let file = ConfigFile::new(
        "several",
        "[[pipeline]]\nname = \"a\"\nsource = \"env:OLD_URL\"\n\
         [[pipeline]]\nname = \"b\"\nsource = \"postgres://u@file/d\"\n\
         [[pipeline]]\nname = \"c\"\n",
    );
    let env = [file.variable(), SOURCE, TARGET, ("OLD_URL", "postgres://u@older/d")];

    let pipelines = settings(&env).unwrap().pipelines;

    let sources: Vec<_> =
        pipelines.iter().map(|pipeline| pipeline.source.address.label()).collect();
    assert_eq!(sources, ["older:5432/d", "file:5432/d", "old.example.com:5432/app"]);
    assert!(pipelines.iter().all(|pipeline| pipeline.target.address.label().starts_with("new.")));
    let list = message(&[&env[..], &[("SYNC_TABLES", "t")]].concat());
    assert!(list.contains("SYNC_TABLES: It cannot say for which of the 3 pipelines"), "{list}");
}

#[test]
fn a_files_reference_stands_and_must_lead_somewhere() {
    let file = ConfigFile::new("reference", "[[pipeline]]\nname = \"a\"\nsource = \"env:OLD_URL\"");
    let config = file.variable();
    let older = ("OLD_URL", "postgres://u@older/d");

    let pipelines = settings(&[config, SOURCE, TARGET, older]).unwrap().pipelines;
    assert_eq!(pipelines[0].source.address.label(), "older:5432/d");
    let unset = message(&[config, TARGET]);
    assert!(unset.contains("toml line 3, `source`: The variable OLD_URL is not set"), "{unset}");
    let malformed = message(&[config, TARGET, ("OLD_URL", "redis://x:hunter2@h")]);
    assert!(malformed.contains("\n  OLD_URL: The scheme must be postgres://"), "{malformed}");
    let bytes = message(&[config, TARGET, ("OLD_URL", "postgres://u:\u{fffd}@h/d")]);
    assert!(bytes.contains("\n  OLD_URL: It holds bytes"), "{bytes}");
}

#[test]
fn a_files_project_has_its_key_from_the_file_or_from_the_variable_beside_its_url() {
    let project = "https://abc.supabase.co";
    let key = ("KEY", "sb_secret_hunter2");
    let read = |lines: &str, env: &[(&'static str, &'static str)]| {
        let file = ConfigFile::new("keys", &format!("[[pipeline]]\nname = \"a\"\n{lines}"));
        let env = [&[file.variable(), TARGET], env].concat();
        let settings = settings(&env).map_err(|errors| errors.to_string())?;
        Ok::<_, String>(settings.pipelines[0].source.address.label())
    };
    let lines = format!("source = \"{project}\"\n");
    let keyed = format!("{lines}source_key = \"env:KEY\"\n");
    let referred = "source = \"env:OLD_SUPABASE_URL\"\n";
    let old = ("OLD_SUPABASE_URL", project);

    assert_eq!(read(&keyed, &[key]).unwrap(), "abc.supabase.co");
    assert_eq!(read(&lines, &[("SOURCE_SERVICE_ROLE_KEY", key.1)]).unwrap(), "abc.supabase.co");
    let beside = ("OLD_SUPABASE_SERVICE_ROLE_KEY", key.1);
    assert_eq!(read(referred, &[old, beside]).unwrap(), "abc.supabase.co");
    let unset = read(&keyed, &[]).unwrap_err();
    assert!(unset.contains("toml line 4, `source_key`: The variable KEY is not set"), "{unset}");
    let missing = read(referred, &[old]).unwrap_err();
    assert!(missing.contains("OLD_SUPABASE_SERVICE_ROLE_KEY: It is not set"), "{missing}");
    let idle = read("source_key = \"env:KEY\"\n", &[SOURCE, key]).unwrap_err();
    assert!(idle.contains("`source_key`: It stands without `source` beside it"), "{idle}");
    let two = format!("{lines}[[pipeline]]\nname = \"b\"\n");
    let none = read(&two, &[SOURCE, ("SOURCE_SERVICE_ROLE_KEY", key.1)]).unwrap_err();
    assert!(none.contains("add source_key = \"env:NAME\""), "{none}");
}

#[test]
fn a_missing_database_of_several_pipelines_is_named_once() {
    let file = ConfigFile::new("once", "[[pipeline]]\nname = \"a\"\n[[pipeline]]\nname = \"b\"");

    let errors = settings(&[file.variable(), SOURCE]).unwrap_err();

    assert_eq!(errors.0.len(), 1, "{errors}");
}

#[test]
fn a_files_problems_are_said_with_the_others() {
    let file = ConfigFile::new("others", "[[pipeline]]\nname = \"a\"\nsource = \"hunter2\"\nx = 1");

    let message = message(&[file.variable(), TARGET, ("SYNC_PAGE_ROWS", "0")]);

    assert!(message.contains("toml line 3, `source`: It must begin with postgres://"), "{message}");
    assert!(message.contains("toml line 4, `x`: This key is not known"), "{message}");
    assert!(message.contains("SYNC_PAGE_ROWS: "), "{message}");
    assert!(!message.contains("hunter2"));
}

#[test]
fn deletes_are_off_unless_the_environment_or_the_file_says_otherwise() {
    let deletes = |text: &str, word: &'static str| {
        let file = ConfigFile::new("deletes", text);
        let env = [file.variable(), SOURCE, TARGET, ("SYNC_DELETES", word)];
        let settings = settings(&env).map_err(|errors| errors.to_string())?;
        Ok::<_, String>(
            settings.pipelines.iter().map(|set| set.pipeline.deletes.clone()).collect::<Vec<_>>(),
        )
    };
    let head = "[[pipeline]]\nname = \"a\"\nmark = \"gone\"\n";
    let mirrored = format!("{head}deletes = \"mirror\"\n");
    let two = format!("{mirrored}[[pipeline]]\nname = \"b\"\n");
    let mark = || Deletes::Mark("gone".into());

    assert_eq!(deletes(head, "").unwrap(), [Deletes::Off]);
    assert_eq!(deletes(&mirrored, "").unwrap(), [Deletes::Mirror]);
    assert_eq!(deletes(&mirrored, "mark").unwrap(), [mark()], "the environment wins");
    assert_eq!(deletes(&two, "off").unwrap(), [Deletes::Mirror, Deletes::Off]);
    assert!(deletes(&two, "mark").unwrap_err().contains("SYNC_DELETES: Rows are to be marked"));
    assert!(deletes(head, "yes").unwrap_err().contains("SYNC_DELETES: This must be off, mirror"));
}

#[test]
fn each_pipeline_has_its_own_cron_and_the_environments_where_there_is_one() {
    let head = "[[pipeline]]\nname = \"a\"\n";
    let hourly = format!("{head}cron = \"0 * * * *\"\ntime_zone = \"Asia/Tokyo\"\n");
    let crons = |text: &str, env: &[(&'static str, &'static str)]| {
        let file = ConfigFile::new("cron", text);
        let env = [&[file.variable(), SOURCE, TARGET], env].concat();
        let settings = settings(&env).map_err(|errors| errors.to_string())?;
        Ok::<_, String>(
            settings.pipelines.iter().map(|set| set.pipeline.cron.to_string()).collect::<Vec<_>>(),
        )
    };
    let daily = ("SYNC_CRON", "0 0 * * *");

    assert_eq!(crons(head, &[]).unwrap(), ["0 */6 * * *"]);
    assert_eq!(crons(&hourly, &[]).unwrap(), ["CRON_TZ=Asia/Tokyo 0 * * * *"]);
    assert_eq!(crons(&hourly, &[daily]).unwrap(), ["0 0 * * *"], "the environment wins");
    let two = format!("{hourly}[[pipeline]]\nname = \"b\"\n");
    let expected = ["CRON_TZ=Asia/Tokyo 0 * * * *", "0 0 * * *"];
    assert_eq!(crons(&two, &[daily]).unwrap(), expected, "of several it is the others'");
    let zone = hourly.replace("Asia/Tokyo", "Asia");
    assert!(crons(&zone, &[]).unwrap_err().contains("toml line 4, `time_zone`: There is no time"));
    let fields = hourly.replace("0 * * * *", "0 * * *");
    assert!(
        crons(&fields, &[]).unwrap_err().contains("toml line 3, `cron`: A cron expression has")
    );
}

#[test]
fn a_missing_file_is_named() {
    let message = message(&[SOURCE, TARGET, ("SYNC_CONFIG", "/nowhere/syncline.toml")]);

    assert!(message.contains("/nowhere/syncline.toml: The file cannot be read"), "{message}");
}

#[test]
fn bytes_that_are_no_unicode_are_named() {
    let message = message(&[SOURCE, ("TARGET_DATABASE_URL", "postgres://u:\u{fffd}@h/d")]);

    assert!(message.contains("TARGET_DATABASE_URL: It holds bytes"), "{message}");
}

/// Once each is looked at for its bytes; whatever is read, is asked for again.
#[test]
fn the_list_of_variables_is_what_is_read() {
    let asked = RefCell::new(BTreeMap::new());
    let _ = Settings::read_for_function(&|name| {
        *asked.borrow_mut().entry(name.to_owned()).or_insert(0) += 1;
        None
    });

    let listed: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(listed.len(), VARIABLES.len());
    assert_eq!(asked.borrow().keys().cloned().collect::<BTreeSet<_>>(), listed);
    // Everything is looked at once for what is not Unicode, and then read; the log's filter is
    // read by `log_filter` before the rest.
    let read = |(name, times): (&String, &i32)| *times > 1 || name == "RUST_LOG";
    assert!(asked.borrow().iter().all(read), "{asked:?}");
}

proptest! {
    #[test]
    fn no_secret_is_ever_shown(
        secret in "[a-zA-Z0-9@/:?#&=%,. -]{0,8}QzWx[a-zA-Z0-9@/:?#&=%,. -]{0,8}",
        scheme in "postgres://|postgresql://|mysql://|https://|",
        token in "QzWx[a-zA-Z0-9 é]{0,20}",
        local in "0|1|2",
    ) {
        let literal = format!("{scheme}u:{secret}@h/d?nonsense=1");
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let file = ConfigFile::new(
            "secret",
            &format!("[[pipeline]]\nname = \"a\"\nsource = '''{literal}'''\nmore = '''{secret}'''"),
        );
        let mut env = vec![
            ("SOURCE_DATABASE_URL", literal.clone()),
            ("TARGET_DATABASE_URL", format!("postgres://u:{encoded}@h/d")),
            ("SYNC_ADMIN_TOKEN", token.clone()),
            ("QSTASH_CURRENT_SIGNING_KEY", token.clone()),
            ("QSTASH_NEXT_SIGNING_KEY", token.clone()),
            ("APP_URL", format!("https://u:{encoded}@h/{token}")),
            ("SYNC_LOCAL", local),
            ("SOURCE_SERVICE_ROLE_KEY", secret.clone()),
            ("OLD_SUPABASE_URL", format!("https://u:{secret}@h")),
            ("SUPABASE_URL", literal.clone()),
            ("NEW_SUPABASE_URL", format!("https://{secret}@h")),
            ("NEW_SUPABASE_SERVICE_ROLE_KEY", token.clone()),
            ("SYNC_PEERS", format!("a=https://{secret},b={literal}")),
            ("SYNC_REGISTRATION_KEY", token.clone()),
            ("SYNC_REGISTRATION_KEY_PREVIOUS", secret.clone()),
            ("SYNC_PEER_MAY", token.clone()),
            ("FULL_SYNC_DATABASE_URL", literal.clone()),
            ("FULL_SYNC_SERVICE_ROLE_KEY", secret.clone()),
        ];
        let mut shown = String::new();
        for round in 0..3 {
            let read = Settings::read_for_function(&|asked| {
                env.iter().find(|(name, _)| *name == asked).map(|(_, value)| value.clone())
            });
            shown += &match read {
                Ok(settings) => format!("{settings:?}"),
                Err(errors) => format!("{errors} {errors:?}"),
            };
            match round {
                0 => env.retain(|(name, _)| *name != "APP_URL" && *name != "SYNC_LOCAL"),
                _ => {
                    env.retain(|(name, _)| {
                        *name != "SOURCE_DATABASE_URL" && *name != "TARGET_DATABASE_URL"
                    });
                    env.push(("SYNC_CONFIG", file.variable().1.to_owned()));
                }
            }
        }
        prop_assert!(!shown.contains("QzWx") && !shown.contains(&encoded), "{}", shown);
    }
}
