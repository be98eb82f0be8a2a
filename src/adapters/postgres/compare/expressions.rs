//! The expressions that rows are compared by. They are built from the shape alone, so that both
//! sides hash the same text for the same row.
//!
//! A row's text is that of a record of its named columns: it tells NULL from the empty text and
//! quotes whatever could be taken for a separator. Where a column has two types, the source's value
//! goes the way that it travels, as text into the target's type.

use std::fmt::Write as _;

use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::copy_frames::BadFrame;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Parameter;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::range::{Comparison, FilledFrom, KeyRange, RowKey, Side};
use crate::engine::model::shape::{MovedColumn, Shape};
use crate::engine::model::type_name::unmodified;

/// The rows of a table on one side.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    side: Side,
    pub(super) shape: &'a Shape,
    settled_to: Option<&'a str>,
    filled_from: Option<&'a FilledFrom>,
}

impl<'a> Rows<'a> {
    /// The rows that a comparison asks this side for.
    pub fn of(side: Side, comparison: Comparison<'a>) -> Self {
        let Comparison { shape, settled_to, filled_from } = comparison;
        Self { side, shape, settled_to, filled_from }
    }

    /// 64 bits of the md5 of a row's text. The text is hashed in UTF-8, whatever the database's
    /// own encoding.
    pub fn digest(&self) -> String {
        let values: Vec<String> =
            self.shape.columns.iter().map(|column| self.value(column)).collect();
        let hash = hash(&values.join(", "));
        format!("('x' || {hash})::bit(64)::int8")
    }

    /// The hash of each column, as an array.
    pub fn columns(&self) -> String {
        let hashes: Vec<String> =
            self.shape.columns.iter().map(|column| hash(&self.value(column))).collect();
        format!("array[{}]", hashes.join(", "))
    }

    /// The key as an array of texts.
    pub fn key(&self) -> String {
        let texts: Vec<String> = self.keys().map(|column| self.key_text(column)).collect();
        format!("array[{}]", texts.join(", "))
    }

    /// The key that stands in an answer. A view's may be NULL.
    pub fn key_in(&self, row: &Row, at: usize) -> Result<RowKey, PostgresError> {
        let texts = row.get::<Vec<Option<String>>>(at).into_iter().zip(&self.shape.key);
        let text = |(text, column): (Option<String>, &String)| {
            text.ok_or_else(|| PostgresError::from(BadFrame::NoKey(column.clone())))
        };
        Ok(RowKey::new(texts.map(text).collect::<Result<_, _>>()?))
    }

    /// The terms that both sides order the rows by.
    pub fn order(&self) -> String {
        let terms: Vec<String> = self.keys().map(|column| self.ordered(column)).collect();
        terms.join(", ")
    }

    /// Which of the ranges a row of theirs lies in: a binary search over their ends.
    pub fn place(&self, ranges: &[KeyRange], values: &mut Values) -> String {
        let ends = ranges.iter().map(|range| {
            range
                .upto
                .as_ref()
                .map(|upto| format!("({}) <= {}", self.order(), self.bound(upto, values)))
        });
        search(0, &ends.collect::<Vec<_>>())
    }

    /// `from ... where ...` over the settled rows of ranges.
    pub fn settled_within(&self, ranges: &[KeyRange], values: &mut Values) -> String {
        let settled = self.settled(values);
        let spans: Vec<String> =
            hulls(ranges).iter().filter_map(|range| self.within(range, values)).collect();
        let mut conditions = vec![settled];
        if !spans.is_empty() {
            conditions.push(format!("({})", spans.join(" or ")));
        }
        conditions.extend(self.unmarked());
        conditions.extend(self.shape.filter.as_deref().map(sql::condition));
        conditions.retain(|condition| condition != "true");
        let matching = match conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", conditions.join(" and ")),
        };
        format!("from {} as r{matching}", self.table())
    }

    /// Says whether the target has reached a row, and was filled with rows as old. One without a
    /// cursor is read in every run.
    pub fn settled(&self, values: &mut Values) -> String {
        match (self.reached(values), self.filled(values)) {
            (reached, None) => reached,
            (reached, Some(filled)) if reached == "true" => filled,
            (reached, Some(filled)) => format!("({reached} and {filled})"),
        }
    }

    /// Says whether a row is not older than those that the target was filled with.
    fn filled(&self, values: &mut Values) -> Option<String> {
        let FilledFrom { column, from } = self.filled_from?;
        let (name, type_name) = (sql::ident(&column.name), self.own_type(column));
        Some(format!("coalesce(r.{name} >= {}::{type_name}, true)", values.bind(from.as_str())))
    }

    /// Says whether the target has reached a row.
    fn reached(&self, values: &mut Values) -> String {
        let (Some(limit), Cursor::Column { name, nullable, .. }) =
            (self.settled_to, &self.shape.cursor)
        else {
            return "true".to_owned();
        };
        let column = self.shape.columns.iter().find(|column| column.name == *name);
        let type_name = column.map_or("text", |column| self.own_type(column));
        let reached = format!("r.{} <= {}::{type_name}", sql::ident(name), values.bind(limit));
        // The target's column may take NULL where the source's does not.
        match *nullable || self.side == Side::Target {
            true => format!("coalesce({reached}, true)"),
            false => reached,
        }
    }

    /// The asked key of a row as an array, and `from ...` over the rows of these keys.
    pub fn with_keys(&self, keys: &[RowKey], values: &mut Values) -> (String, String) {
        let names: Vec<String> = (0..self.shape.key.len()).map(asked).collect();
        let from = format!(
            "from {asked} join {table} as r on {matching}",
            asked = self.asked(keys, values),
            table = self.table(),
            matching = self.meant(),
        );
        (format!("array[{}]", names.join(", ")), from)
    }

    /// A row has an asked key, meets the filter and is not marked.
    pub(super) fn meant(&self) -> String {
        let mut conditions = vec![self.matches()];
        conditions.extend(self.unmarked());
        conditions.extend(self.shape.filter.as_deref().map(sql::condition));
        conditions.join(" and ")
    }

    /// A row of the target is not marked as gone.
    fn unmarked(&self) -> Option<String> {
        let Mark { column, kind } = self.shape.mark.as_ref()?;
        let column = format!("r.{}", sql::ident(column));
        let unmarked = match kind {
            MarkKind::Time => format!("{column} is null"),
            MarkKind::Flag => format!("{column} is not true"),
        };
        (self.side == Side::Target).then_some(unmarked)
    }

    /// Keys as rows of texts. The names are none that the operator's condition could mean.
    pub(super) fn asked(&self, keys: &[RowKey], values: &mut Values) -> String {
        let (mut lists, mut names) = (Vec::new(), Vec::new());
        for place in 0..self.shape.key.len() {
            let texts = keys.iter().filter_map(|key| key.values().get(place).cloned());
            lists.push(values.bind(texts.collect::<Vec<String>>()));
            names.push(format!("syncline_key_{place}"));
        }
        format!("unnest({}) as asked({})", lists.join(", "), names.join(", "))
    }

    /// A row has an asked key.
    fn matches(&self) -> String {
        let pairs = self.keys().enumerate().map(|(place, column)| {
            let own = self.own_type(column);
            let (quoted, asked) = (format!("r.{}", sql::ident(&column.name)), asked(place));
            match sql::casts_like_a_literal(own) {
                _ if self.side == Side::Source && is_respelled(column) => {
                    format!("{} = {asked}", self.key_text(column))
                }
                true => format!("{quoted} = {asked}::{own}"),
                false => format!("{quoted}::text = {asked}"),
            }
        });
        pairs.collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn table(&self) -> String {
        let relation = match self.side {
            Side::Source => self.shape.source,
            Side::Target => self.shape.target,
        };
        sql::rows_of(&self.shape.table, relation)
    }

    fn keys(&self) -> impl Iterator<Item = &'a MovedColumn> {
        let shape = self.shape;
        shape.key.iter().map(|name| {
            let moved = shape.columns.iter().find(|column| column.name == *name);
            moved.expect("key columns are among the moved ones")
        })
    }

    fn own_type<'b>(&self, column: &'b MovedColumn) -> &'b str {
        match self.side {
            Side::Source => &column.source_type,
            Side::Target => &column.target_type,
        }
    }

    /// A column's value in a row's text.
    fn value(&self, column: &MovedColumn) -> String {
        let quoted = format!("r.{}", sql::ident(&column.name));
        match (column.source_type == column.target_type, self.side) {
            (true, _) => quoted,
            (false, Side::Target) => format!("{quoted}::text"),
            (false, Side::Source) => {
                // `format` prints as COPY does; a cast would print true for t, and drop the blanks
                // of character(3).
                let printed = format!("format('%s', {quoted})");
                let taken = match compared_as(&column.target_type) {
                    Some(type_name) => format!("{printed}::{type_name}::text"),
                    None => printed,
                };
                format!("case when {quoted}::text is not null then {taken} end")
            }
        }
    }

    /// A key column as text. Numbers that are equal are one key, however they are spelled.
    fn key_text(&self, column: &MovedColumn) -> String {
        let quoted = format!("r.{}", sql::ident(&column.name));
        match unmodified(&column.source_type).as_ref() {
            _ if column.source_type != column.target_type => self.value(column),
            "numeric" => format!("trim_scale({quoted})::text"),
            "real" | "double precision" => format!("({quoted} + 0)::text"),
            _ => format!("{quoted}::text"),
        }
    }

    /// A key column as both sides order it: in its own order where that is the same everywhere,
    /// otherwise by the bytes of its text, an order that no collation changes and no index has.
    fn ordered(&self, column: &MovedColumn) -> String {
        match column.native_order() {
            Some(_) => format!("r.{}", sql::ident(&column.name)),
            None => format!("({} collate \"C\")", self.key_text(column)),
        }
    }

    /// A key to compare with, in the same order.
    fn bound(&self, key: &RowKey, values: &mut Values) -> String {
        let parts: Vec<String> = self
            .keys()
            .zip(key.values())
            .map(|(column, value)| {
                let bound = values.bind(value.as_str());
                match column.native_order() {
                    Some(type_name) => format!("{bound}::{type_name}"),
                    None => format!("({bound}::text collate \"C\")"),
                }
            })
            .collect();
        format!("({})", parts.join(", "))
    }

    fn within(&self, range: &KeyRange, values: &mut Values) -> Option<String> {
        let order = self.order();
        let after =
            range.after.as_ref().map(|key| format!("({order}) > {}", self.bound(key, values)));
        let upto =
            range.upto.as_ref().map(|key| format!("({order}) <= {}", self.bound(key, values)));
        let ends: Vec<String> = after.into_iter().chain(upto).collect();
        (!ends.is_empty()).then(|| format!("({})", ends.join(" and ")))
    }
}

fn asked(place: usize) -> String {
    format!("asked.syncline_key_{place}")
}

/// The encoding that a row's text is hashed in; a database without an encoding has its bytes alone.
const ENCODING: &str = "(select case current_setting('server_encoding') \
    when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)::name";

fn hash(values: &str) -> String {
    format!("left(md5(convert_to(row({values})::text, {ENCODING})), 16)")
}

/// The place of the first end that is not before the row.
fn search(first: usize, ends: &[Option<String>]) -> String {
    if ends.len() < 2 {
        return first.to_string();
    }
    let middle = ends.len().div_ceil(2);
    let (left, right) = ends.split_at(middle);
    let Some(end) = &left[middle - 1] else { return search(first, left) };
    let mut text = String::new();
    let _ = write!(
        text,
        "case when {end} then {} else {} end",
        search(first, left),
        search(first + middle, right)
    );
    text
}

/// The ranges with neighbours joined.
fn hulls(ranges: &[KeyRange]) -> Vec<KeyRange> {
    let mut joined: Vec<KeyRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.upto.is_some() && last.upto == range.after => {
                last.upto.clone_from(&range.upto);
            }
            _ => joined.push(range.clone()),
        }
    }
    joined
}

/// The target's text of a key may be another one than the source's: spelled otherwise, or rounded.
/// A row would be taken for gone that the source has. Whole numbers have one spelling, and texts
/// keep theirs.
fn is_respelled(key: &MovedColumn) -> bool {
    let is_text = |name: &str| ["text", "character varying"].contains(&unmodified(name).as_ref());
    key.source_type != key.target_type
        && key.native_order() != Some("bigint")
        && !(is_text(&key.source_type) && is_text(&key.target_type))
}

/// The type that a text is read as before it is compared with a column of the target's. A length
/// would cut in a cast what it refuses in a row, and a type of the database's own may be unknown on
/// the source.
fn compared_as(target_type: &str) -> Option<&str> {
    match unmodified(target_type).as_ref() {
        _ if !sql::built_in(target_type) => None,
        // An API tells no length, and without one these have that of a single letter.
        _ if target_type == "character[]" => Some("bpchar[]"),
        _ if target_type == "bit[]" => Some("bit varying[]"),
        _ if target_type.ends_with("[]") => Some(target_type),
        "text" | "character varying" => None,
        "character" => Some("bpchar"),
        "bit" | "bit varying" => Some("bit varying"),
        _ => Some(target_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> RowKey {
        RowKey::new(vec![value.to_owned()])
    }

    #[test]
    fn a_place_is_searched_by_halves() {
        let ends = ["a", "b", "c"].map(|end| Some(end.to_owned()));
        assert_eq!(search(0, &[]), "0");
        assert_eq!(search(0, &[None]), "0");
        let open = [&ends[..2], &[None]].concat();
        let expected = "case when b then case when a then 0 else 1 end else 2 end";
        assert_eq!(search(0, &open), expected);
        assert_eq!(search(0, &ends), expected, "what lies behind the last is asked for by nobody");
    }

    #[test]
    fn neighbours_are_read_as_one_span_and_gaps_stay_gaps() {
        let range = |after: Option<&str>, upto: Option<&str>| KeyRange {
            after: after.map(key),
            upto: upto.map(key),
        };
        let ranges = [
            range(None, Some("a")),
            range(Some("a"), Some("b")),
            range(Some("c"), Some("d")),
            range(Some("d"), None),
        ];
        assert_eq!(hulls(&ranges), [range(None, Some("b")), range(Some("c"), None)]);
        assert_eq!(hulls(&[KeyRange::ALL]), [KeyRange::ALL]);
    }

    #[test]
    fn a_length_cuts_nothing_off_what_is_compared() {
        for (target, compared) in [
            ("character varying(3)", None),
            ("character(3)", Some("bpchar")),
            ("bit(3)", Some("bit varying")),
            ("bit(3)[]", Some("bit(3)[]")),
            ("numeric(4,1)", Some("numeric(4,1)")),
            ("public.mood", None),
        ] {
            assert_eq!(compared_as(target), compared, "{target}");
        }
    }
}

/// The values that a statement is bound to.
#[derive(Default)]
pub struct Values(pub Vec<Parameter>);

impl Values {
    /// Binds another; gives back what stands for it in the text.
    pub fn bind(&mut self, value: impl Into<Parameter>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }
}
