//! A checkpoint is usable for the shape that it was made for, and for no other.

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
    other_table.origin.history = "another".to_owned();
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
