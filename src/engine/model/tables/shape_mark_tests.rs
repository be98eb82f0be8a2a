//! Marks of shapes, and the text that stood for them in the first releases.

use proptest::prelude::*;

use super::*;
use crate::engine::model::facts::Relation;
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::MovedColumn;
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::Firing;

fn column(name: &str, source_type: &str) -> MovedColumn {
    let (source_type, target_type) = (source_type.to_owned(), source_type.to_owned());
    MovedColumn {
        name: name.to_owned(),
        source_type,
        target_type,
        target_base: None,
        fixed: false,
        merges: false,
    }
}

fn cursor(name: &str, type_name: &str) -> Cursor {
    Cursor::Column {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        kind: CursorKind::of_type(type_name).unwrap(),
        nullable: false,
        indexed: true,
    }
}

fn side(storage: &str, columns: &[i16]) -> OriginSide {
    OriginSide { storage: storage.to_owned(), columns: columns.to_vec() }
}

fn shape() -> Shape {
    Shape {
        table: TableName::new("public", "items"),
        origin: Origin {
            history: "7713911748013473468 1 16384".to_owned(),
            project: None,
            source: side("16386 16386", &[1, 2]),
            target: side("16427 16427", &[2, 1]),
        },
        columns: vec![column("id", "integer"), column("at", "bigint")],
        key: vec!["id".to_owned()],
        cursor: cursor("at", "bigint"),
        filter: Some("id > 0".to_owned()),
        policy: Policy::SourceWins,
        encoding: Encoding::Binary,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback: None,
        triggers: Firing::Fire,
    }
}

type Change = fn(&mut Shape);

/// Ways to make another shape of one, each by what a mark knows of it.
const CHANGES: [(&str, Change); 10] = [
    ("columns", |shape| shape.columns.push(column("name", "text"))),
    ("their order", |shape| shape.columns.reverse()),
    ("key", |shape| shape.key.push("at".to_owned())),
    ("filter", |shape| shape.filter = None),
    ("cursor column", |shape| shape.cursor = cursor("id", "bigint")),
    ("cursor type", |shape| shape.cursor = cursor("at", "date")),
    ("no cursor", |shape| shape.cursor = Cursor::Whole),
    ("policy", |shape| shape.policy = Policy::NewestWins),
    ("source", |shape| shape.origin.source = side("16386 16999", &[1, 2])),
    ("target", |shape| shape.origin.target = side("16427 16427", &[2, 3])),
];

#[test]
fn each_part_of_a_shape_that_decides_what_is_read_changes_its_mark() {
    for (part, change) in CHANGES {
        let mut other = shape();
        change(&mut other);
        assert_ne!(ShapeMark::new(&other), ShapeMark::new(&shape()), "{part}");
    }
    assert_ne!(ShapeMark::new(&shape()), ShapeMark::default());
}

#[test]
fn the_target_the_settings_and_the_cursor_decide_whether_a_mark_may_fit() {
    for (part, change) in CHANGES {
        let mut other = shape();
        change(&mut other);
        let unseen = ["columns", "their order", "key", "source"].contains(&part);
        assert_eq!(ShapeMark::new(&shape()).may_fit(&other), unseen, "{part}");
    }
}

#[test]
fn a_mark_serves_its_table_in_whichever_way_the_source_is_reached() {
    let api = "https://abc.supabase.co/rest/v1";
    let reached = |history: &str, project: Option<&str>, source: OriginSide| {
        let mut shape = shape();
        shape.origin.history = history.to_owned();
        shape.origin.project = project.map(str::to_owned);
        shape.origin.source = source;
        ShapeMark::new(&shape)
    };
    let (table, untold) = (side("16386 16386", &[1, 2]), side("", &[0, 0]));
    let by_tables = reached(api, None, untold.clone());
    let by_function = reached("7713 1 5", Some(api), table.clone());
    let by_connection = reached("7713 1 5", None, table.clone());
    let serves_both_ways = |one: &ShapeMark, other: &ShapeMark| {
        assert_eq!(one.serves(other), other.serves(one));
        one.serves(other)
    };
    assert!(serves_both_ways(&by_tables, &by_function));
    assert!(serves_both_ways(&by_function, &by_connection));
    assert!(!serves_both_ways(&by_tables, &by_connection), "no name of the database is the same");
    assert!(by_connection.lacks_project_of(&by_function));
    assert!(!by_tables.lacks_project_of(&by_function));
    for other in [
        reached("https://other.supabase.co/rest/v1", None, untold),
        reached("7713 2 5", Some(api), table),
        reached("7713 1 5", Some(api), side("16386 16999", &[1, 2])),
        reached("7713 1 5", Some(api), side("16386 16386", &[1, 3])),
    ] {
        assert!(!serves_both_ways(&by_function, &other), "{other:?}");
    }
}

#[test]
fn a_mark_is_stored_in_this_form() {
    let stored = r#"{"version":1,"columns":["id","at"],"key":["id"],"cursor":{"column":"at","type_name":"bigint"},"filter":"id > 0","origin":{"history":"7713911748013473468 1 16384","source":{"storage":"16386 16386","columns":[1,2]},"target":{"storage":"16427 16427","columns":[2,1]}},"newest_wins":false}"#;
    assert_eq!(serde_json::to_string(&ShapeMark::new(&shape())).unwrap(), stored);
    let later = stored.replace("\"version\":1", "\"version\":2,\"more\":[]");
    let later: ShapeMark = serde_json::from_str(&later).unwrap();
    assert_ne!(later, ShapeMark::new(&shape()));
    assert!(!later.may_fit(&shape()));
}

/// The text of a shape, made by the code of the first releases.
fn text(shape: &Shape) -> String {
    let Shape { table: _, origin, columns, key, cursor, filter, .. } = shape;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let cursor = match cursor {
        Cursor::Column { name, type_name, .. } => format!("{name} {type_name}"),
        Cursor::Whole => String::new(),
    };
    let policy = shape.newest_by().map_or("", |_| " newest wins");
    let side = |side: &OriginSide| {
        let numbers: Vec<String> = side.columns.iter().map(i16::to_string).collect();
        format!("{}: {}", side.storage, numbers.join(","))
    };
    let Origin { history, project: _, source, target } = origin;
    let origin = format!("{history}; {}; {}", side(source), side(target));
    format!("{names:?} {key:?} {cursor:?} {filter:?} {origin:?}{policy}")
}

fn shapes() -> impl Strategy<Value = Shape> {
    let names = proptest::collection::btree_set("\\PC{1,4}|[a \"\\]]{1,3}|\u{301}\n\t", 1..5);
    let types = ["timestamp(3) with time zone", "date", "bigint", "numeric(10,2)"];
    let sides = || ("[0-9 :]{0,9}", proptest::collection::vec(any::<i16>(), 1..4));
    let parts = (
        names,
        any::<proptest::sample::Index>(),
        proptest::option::of(proptest::sample::select(types.to_vec())),
        any::<Option<String>>(),
        any::<bool>(),
        (any::<String>(), sides(), sides()),
    );
    parts.prop_map(|(names, index, type_name, filter, newest_wins, (history, source, target))| {
        let names: Vec<String> = names.into_iter().collect();
        let name = index.get(&names);
        Shape {
            columns: names.iter().map(|name| column(name, "text")).collect(),
            key: vec![name.clone()],
            cursor: type_name.map_or(Cursor::Whole, |type_name| cursor(name, type_name)),
            filter,
            policy: if newest_wins { Policy::NewestWins } else { Policy::SourceWins },
            origin: Origin {
                history,
                project: None,
                source: side(&source.0, &source.1),
                target: side(&target.0, &target.1),
            },
            ..shape()
        }
    })
}

proptest! {
    #[test]
    fn the_text_of_before_is_read_as_the_mark_of_its_shape(shape in shapes()) {
        prop_assert_eq!(ShapeMark::from_text(&text(&shape)), Some(ShapeMark::new(&shape)));
    }

    #[test]
    fn a_stored_mark_reads_back_as_it_was(shape in shapes()) {
        let mark = ShapeMark::new(&shape);
        let stored = serde_json::to_string(&mark).unwrap();
        prop_assert_eq!(serde_json::from_str::<ShapeMark>(&stored).unwrap(), mark);
    }

    #[test]
    fn no_text_makes_the_reader_panic(other in any::<String>(), shape in shapes(), cut in any::<proptest::sample::Index>()) {
        let _ = ShapeMark::from_text(&other);
        let text = text(&shape);
        let cut = cut.index(text.chars().count());
        let cut: String = text.chars().take(cut).collect();
        let _ = ShapeMark::from_text(&cut);
    }
}
