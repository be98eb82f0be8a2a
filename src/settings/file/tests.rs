//! The settings that `syncline.toml` may hold, and the line with which others are refused.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Vec<FilePipeline>, Vec<String>> {
    let mut problems = Problems::default();
    let file = parse("sync.toml", text, &mut problems);
    problems
        .or(file.and_then(|file| file.pipelines).unwrap_or_default())
        .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

fn refused(text: &str) -> Vec<String> {
    parsed(text).err().expect("the file is refused")
}

#[test]
fn everything_that_a_file_may_say_is_read() {
    let pipelines = parsed(
        r#"
        [[pipeline]]
        name = "old-to-new"
        source = "env:OLD_URL"
        target = "postgres://u@h/d"
        deletes = "mirror"
        triggers = "suppress"
        add_columns = true
        lookback = "2w"
        tables = ["public.jobs", 'app."We""ird, t.able"']

        [[pipeline.table]]
        name = "Jobs"
        cursor = "updated_at"
        key = ["id"]
        columns = ["id", "State", "updated_at"]
        where = "not is_demo"
        deletes = "mark"
        mark = "gone"
        policy = "newest-wins"
        lookback = "30d"

        [[pipeline]]
        name = "2"
        "#,
    )
    .unwrap();

    let [first, second] = &pipelines[..] else { panic!("there are two pipelines") };
    assert_eq!(first.name, "old-to-new");
    assert_eq!(first.source.url.as_ref().unwrap().text, "env:OLD_URL");
    assert_eq!(first.target.url.as_ref().unwrap().place, "sync.toml line 5, `target`");
    assert_eq!((&first.deletes, &second.deletes), (&Some(Deletes::Mirror), &None));
    assert_eq!((first.add_columns, second.add_columns), (Some(true), None));
    let weeks = Duration::from_secs(14 * 86_400);
    assert_eq!((first.lookback, second.lookback), (Some(weeks), None));
    let tables = [TableName::new("public", "jobs"), TableName::new("app", "We\"ird, t.able")];
    assert_eq!(first.tables.as_deref(), Some(&tables[..]));
    let jobs = TableRule {
        table: TableName::new("public", "jobs"),
        cursor: Some("updated_at".into()),
        key: Some(vec!["id".into()]),
        columns: Some(vec!["id".into(), "State".into(), "updated_at".into()]),
        filter: Some("not is_demo".into()),
        deletes: Some(Deletes::Mark("gone".into())),
        policy: Policy::NewestWins,
        lookback: Some(Duration::from_secs(30 * 86_400)),
    };
    assert_eq!(first.rules, [jobs]);
    assert_eq!((first.triggers, second.triggers), (TargetTriggers::Suppress, TargetTriggers::Auto));
    assert!(second.source.url.is_none() && second.tables.is_none() && second.rules.is_empty());
}

#[test]
fn each_problem_is_named_with_its_line() {
    let head = "[[pipeline]]\nname = \"a\"\n";
    let table = format!("{head}[[pipeline.table]]\nname = \"t\"\n");
    let long = "x".repeat(64);
    let cases = [
        ("".to_owned(), "sync.toml: The file has no [[pipeline]]"),
        ("# nothing".to_owned(), "sync.toml: The file has no [[pipeline]]"),
        ("pipeline = []".to_owned(), "line 1, `pipeline`: This must be one or more sections"),
        ("[pipeline]".to_owned(), "line 1, `pipeline`: This must be one or more sections"),
        ("pipeline = 1".to_owned(), "line 1, `pipeline`: This must be one or more sections"),
        (format!("{head}\n[other]"), "line 4, `other`: This key is not known here; known are pip"),
        (format!("{head}crn = \"x\""), "line 3, `crn`: This key is not known here; known are n"),
        (format!("{head}cron = 6"), "line 3, `cron`: This must be a text"),
        ("[[pipeline]]\nname = \"failure\"".to_owned(), "line 2, `name`: A pipeline cannot be na"),
        (format!("{table}curser = \"x\""), "line 5, `curser`: This key is not known here"),
        (format!("{head}\n\nsource = "), "line 5: This is no TOML"),
        (format!("{head}name = \"b\""), "line 3: This is no TOML: duplicate key"),
        ("[[pipeline]]\n".to_owned(), "line 1, `name`: This key is missing"),
        ("[[pipeline]]\nname = \"\"".to_owned(), "line 2, `name`: This must be a text"),
        ("[[pipeline]]\nname = 7".to_owned(), "line 2, `name`: This must be a text"),
        ("[[pipeline]]\nname = \"A\"".to_owned(), "line 2, `name`: A pipeline's name has"),
        ("[[pipeline]]\nname = \"-a\"".to_owned(), "line 2, `name`: A pipeline's name has"),
        (format!("[[pipeline]]\nname = \"{long}\""), "line 2, `name`: A pipeline's name has"),
        (format!("{head}{head}"), "line 3, `name`: a stands here twice"),
        (format!("{head}source = 1"), "line 3, `source`: This must be a text"),
        (format!("{head}tables = []"), "line 3, `tables`: This must be a list of one or more"),
        (format!("{head}tables = \"t\""), "line 3, `tables`: This must be a list"),
        (format!("{head}tables = [\"t\",\n1]"), "line 3, `tables`: This must be a list"),
        (format!("{head}tables = [\"t\",\n\"a-b\"]"), "line 4, `tables`: '-' is unexpected"),
        (format!("{head}tables = [\"t\",\n\"public.T\"]"), "line 4, `tables`: public.t stands"),
        (format!("{head}[[pipeline.table]]"), "line 3, `name`: This key is missing"),
        (format!("{head}[[pipeline.table]]\nname = \"a b\""), "line 4, `name`: 'b' is unexpected"),
        (format!("{table}[[pipeline.table]]\nname = \"T\""), "line 6, `name`: public.t stands"),
        (format!("{table}key = []"), "line 5, `key`: This must be a list"),
        (format!("{table}key = [\"a\",\"a\"]"), "line 5, `key`: a stands here twice"),
        (format!("{table}key = [\"a\"]\ncolumns = [\"b\"]"), "`columns`: The key's column \"a\""),
        (format!("{table}cursor = \"{long}\""), "line 5, `cursor`: A column's name has 1 to 63"),
        (format!("{table}columns = [\"a\\u0000\"]"), "line 5, `columns`: A column's name has"),
        (format!("{table}where = \"\""), "line 5, `where`: This must be a text"),
        (
            format!("{head}lookback = \"7\""),
            "line 3, `lookback`: It must be a whole number with m, h",
        ),
        (format!("{table}lookback = 7"), "line 5, `lookback`: This must be a text"),
        (format!("{head}deletes = \"yes\""), "line 3, `deletes`: This must be off, mirror or mark"),
        (format!("{head}deletes = \"mark\""), "line 1, `mark`: Rows are to be marked"),
        (format!("{table}deletes = \"mark\""), "line 3, `mark`: Rows are to be marked"),
        (format!("{table}mark = \"gone\""), "line 5, `mark`: It stands without deletes"),
        (
            format!("{table}deletes = \"mirror\"\nmark = \"gone\""),
            "line 6, `mark`: It stands without deletes",
        ),
        (
            format!("{head}tables = [\"a\"]\n[[pipeline.table]]\nname = \"b\""),
            "line 5, `name`: public.b is not among the pipeline's `tables`",
        ),
    ];
    for (text, expected) in cases {
        let messages = refused(&text);
        let [message] = &messages[..] else { panic!("{text}: one problem, not {messages:?}") };
        assert!(message.starts_with("sync.toml") && message.contains(expected), "{message}");
    }
}

#[test]
fn a_table_is_marked_in_the_pipelines_column_unless_it_names_its_own() {
    let head = "[[pipeline]]\nname = \"a\"\nmark = \"outer\"\n[[pipeline.table]]\nname = \"t\"\n";
    for (table, expected) in [
        ("", None),
        ("deletes = \"off\"", Some(Deletes::Off)),
        ("deletes = \"mark\"", Some(Deletes::Mark("outer".into()))),
        ("deletes = \"mark\"\nmark = \"own\"", Some(Deletes::Mark("own".into()))),
    ] {
        let pipelines = parsed(&format!("{head}{table}")).unwrap();
        assert_eq!(pipelines[0].rules[0].deletes, expected, "{table}");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let messages = refused(
        "[[pipeline]]\nnam = \"a\"\ntables = []\n[[pipeline.table]]\nname = \"t\"\nkey = 1\n\
         [[pipeline]]\nname = \"?\"\n",
    );

    for expected in ["`nam`", "`name`: This key is missing", "`tables`", "`key`", "line 8, `name`"]
    {
        assert!(messages.iter().any(|message| message.contains(expected)), "{messages:?}");
    }
    assert_eq!(messages.len(), 5, "{messages:?}");
}

#[test]
fn an_unreadable_file_is_named() {
    for path in ["/nowhere/sync.toml", "/"] {
        let mut problems = Problems::default();
        assert!(read(path, &mut problems).is_none());
        let message = problems.or(()).unwrap_err().to_string();
        assert!(message.contains(&format!("{path}: The file cannot be read (")), "{message}");
    }
}

proptest! {
    #[test]
    fn a_value_in_the_wrong_place_is_not_repeated(
        key in "name|source|tables|table|cron|\\[\\[pipeline\\]\\]",
        quote in "\"|'|",
        password in "[a-z@:/#]{0,5}QzWx[a-z@:/#]{0,5}",
    ) {
        let value = format!("{quote}postgres://u:{password}@h/d{quote}");
        for text in [
            format!("pipeline = {value}"),
            format!("[[pipeline]]\n{key} = {value}"),
            format!("[[pipeline]]\nname = \"a\"\n[[pipeline.table]]\n{key} = {value}"),
        ] {
            for message in parsed(&text).err().unwrap_or_default() {
                prop_assert!(!message.contains("QzWx"), "{}", message);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in "\\PC{0,80}|[a-z0-9\\[\\]{}\"'=.,# \n]{0,120}",
        at in 0_usize..400,
        cut in 0_usize..40,
    ) {
        let _ = parsed(&text);
        let whole: Vec<char> = WHOLE.chars().collect();
        let (from, to) = (at.min(whole.len()), (at + cut).min(whole.len()));
        let spliced: String =
            whole[..from].iter().copied().chain(text.chars()).chain(whole[to..].iter().copied()).collect();
        let _ = parsed(&spliced);
    }
}

/// A file that says a bit of everything, to be cut into.
const WHOLE: &str = "[[pipeline]]\nname = \"a\"\nsource = \"env:OLD\"\ntables = [\"jobs\", 'a.\"B, c\"']\n\
    cron = \"0 9 * * MON\"\ntime_zone = \"Europe/Berlin\"\ndeletes = \"mirror\"\n\
    triggers = \"suppress\"\nadd_columns = true\n[[pipeline.table]]\nname = \"jobs\"\n\
    cursor = \"at\"\nkey = [\"id\"]\ncolumns = [\"id\", \"at\"]\nwhere = \"not demo\"\n\
    deletes = \"mark\"\nmark = \"gone\"\npolicy = \"newest-wins\"\n";
