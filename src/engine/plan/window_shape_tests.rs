//! What a checkpoint is good for: the shape it was made for, and no other.

use super::*;

#[test]
fn a_checkpoint_is_usable_only_for_the_shape_it_was_made_for() {
    let made = shape();
    let checkpoint = saved(&made, kept("10", None));
    assert_eq!(usable(&made, None), None);
    assert_eq!(usable(&made, Some(&checkpoint)), Some(&checkpoint));

    let mut more_columns = shape();
    more_columns.columns.push(column("name", "text"));
    let mut other_order = shape();
    other_order.columns.reverse();
    let mut other_key = shape();
    other_key.key.push("at".to_owned());
    let mut filtered = shape();
    filtered.filter = Some("id > 0".to_owned());
    let mut other_type = shape();
    if let Cursor::Column { type_name, .. } = &mut other_type.cursor {
        *type_name = "date".to_owned();
    }
    let mut other_column = shape();
    if let Cursor::Column { name, .. } = &mut other_column.cursor {
        *name = "id".to_owned();
    }
    let mut other_table = shape();
    other_table.origin = "another".to_owned();
    let others = [
        more_columns,
        other_order,
        other_key,
        filtered,
        other_type,
        other_column,
        other_table,
        whole(),
    ];
    for other in others {
        assert_eq!(usable(&other, Some(&checkpoint)), None, "{other:?}");
        let scan = begun(decide(&other, Some(&checkpoint), &look("20", "", ""), &writers(&[])));
        assert_eq!((scan.from, scan.goal), (None, Reached::default()), "{other:?}");
    }
}

#[test]
fn the_columns_of_a_checkpoint_are_found_again_whatever_their_names() {
    let mut made = shape();
    let names = ["a", "a\", \"b", "[b]", "]"];
    made.columns = names.map(|name| column(name, "text")).to_vec();
    let checkpoint = saved(&made, kept("10", None));
    let known = || ["]", "z", "[b]", "b", "a\", \"b", "a"].into_iter();
    assert_eq!(columns_of(&checkpoint, known()), Some(names.to_vec()));
    assert_eq!(columns_of(&checkpoint, known().skip(1)), None, "one is there no more");
    assert_eq!(columns_of(&Checkpoint::default(), known()), None);
}

#[test]
fn what_the_target_tells_speaks_against_another_side_condition_policy_or_cursor() {
    let mut made = shape();
    made.origin = "history; here: 1,2; the\"re: 1,2".to_owned();
    made.filter = Some("id > 0".to_owned());
    let checkpoint = saved(&made, kept("10", None));
    assert!(may_fit(&checkpoint, &made, "the\"re: 1,2"));
    assert!(!may_fit(&checkpoint, &made, "the\"re: 1,3"));
    let other = |change: fn(&mut Shape)| {
        let mut other = made.clone();
        change(&mut other);
        may_fit(&checkpoint, &other, "the\"re: 1,2")
    };
    assert!(other(|of| of.origin = "another source".to_owned()), "nobody asks the source");
    assert!(!other(|of| of.filter = None));
    assert!(!other(|of| of.policy = Policy::NewestWins));
    assert!(!other(|of| of.cursor = Cursor::Whole));
}

#[test]
fn what_does_not_change_the_rows_keeps_the_checkpoint() {
    let checkpoint = saved(&shape(), kept("10", None));
    let mut same = shape_by(cursor(false));
    same.table = TableName::new("public", "renamed");
    same.encoding = Encoding::Text;
    (same.source, same.target) = (Relation::Partitioned, Relation::Partitioned);
    same.estimated_rows = 9;
    same.columns[1].target_type = "numeric".to_owned();
    assert!(usable(&same, Some(&checkpoint)).is_some());
}

#[test]
fn another_shape_starts_over_even_from_a_cut_scan() {
    let cut =
        Checkpoint { scan: Some(scan(Pass::Window, &[])), ..saved(&whole(), Reached::default()) };
    let moved = decide(&shape(), Some(&cut), &look("20", "", "t"), &writers(&[]));
    let scan = begun(moved);
    assert_eq!((scan.after, scan.from, scan.watermark), (None, None, Some(value("20"))));
    assert!(!scan.fresh, "only the target knows whether it is empty");
}
