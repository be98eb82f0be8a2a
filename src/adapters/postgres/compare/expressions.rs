//! The SQL expressions by which the rows of both sides are compared. They are built from the shape
//! alone, so that both sides hash the same text for the same row.
//!
//! A row's text is that of a record of its named columns: this text tells NULL from the empty text,
//! and quotes everything that could be read as a separator. Where a column has different types on
//! the two sides, the source's value is converted as a sync converts it: as text into the target's
//! type.

use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::copy_frames::BadFrame;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Parameters;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::range::{Comparison, FilledFrom, KeyRange, RowKey, Side};
use crate::engine::model::shape::{MovedColumn, Shape};
use crate::engine::model::type_name::unmodified;

/// The rows of a table on one side, which the expressions call `r`.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    side: Side,
    pub(super) shape: &'a Shape,
    settled_to: Option<&'a str>,
    filled_from: Option<&'a FilledFrom>,
}

impl<'a> Rows<'a> {
    /// Returns the rows of this side that a comparison covers.
    pub fn new(side: Side, comparison: Comparison<'a>) -> Self {
        let Comparison { shape, settled_to, filled_from } = comparison;
        Self { side, shape, settled_to, filled_from }
    }

    /// The expression of a row's digest: 64 bits of the md5 of its text. The text is hashed in
    /// UTF-8, whatever the database's own encoding is.
    pub fn digest(&self) -> String {
        let values: Vec<String> =
            self.shape.columns.iter().map(|column| self.value(column)).collect();
        let hash = hash(&values.join(", "));
        format!("('x' || {hash})::bit(64)::int8")
    }

    /// The expression of an array that has the hash of each column.
    pub fn column_hashes(&self) -> String {
        let hashes: Vec<String> =
            self.shape.columns.iter().map(|column| hash(&self.value(column))).collect();
        format!("array[{}]", hashes.join(", "))
    }

    /// The expression of the key, as an array of texts.
    pub fn key(&self) -> String {
        let texts: Vec<String> = self.key_columns().map(|column| self.key_text(column)).collect();
        format!("array[{}]", texts.join(", "))
    }

    /// Reads the key in one column of an answer. In a view, a key column may be NULL.
    pub fn read_key(&self, answer: &Row, column: usize) -> Result<RowKey, PostgresError> {
        let texts = answer.get::<Vec<Option<String>>>(column).into_iter().zip(&self.shape.key);
        let text = |(text, column): (Option<String>, &String)| {
            text.ok_or_else(|| PostgresError::from(BadFrame::NoKey(column.clone())))
        };
        Ok(RowKey::new(texts.map(text).collect::<Result<_, _>>()?))
    }

    /// The terms by which both sides order the rows.
    pub fn order(&self) -> String {
        let terms: Vec<String> = self.key_columns().map(|column| self.order_term(column)).collect();
        terms.join(", ")
    }

    /// The expression of the index of the range that holds a row: a binary search over the ends of
    /// the ranges.
    pub fn range_index(&self, ranges: &[KeyRange], parameters: &mut Parameters) -> String {
        let ends = ranges.iter().map(|range| {
            range
                .upto
                .as_ref()
                .map(|upto| format!("({}) <= {}", self.order(), self.bound(upto, parameters)))
        });
        binary_search(0, &ends.collect::<Vec<_>>())
    }

    /// The clauses `from ... where ...` that give the settled rows of ranges.
    pub fn settled_rows(&self, ranges: &[KeyRange], parameters: &mut Parameters) -> String {
        let settled = self.is_settled(parameters);
        let ranges = join_neighbours(ranges);
        let spans: Vec<String> =
            ranges.iter().filter_map(|range| self.is_within(range, parameters)).collect();
        let mut conditions = vec![settled];
        if !spans.is_empty() {
            conditions.push(format!("({})", spans.join(" or ")));
        }
        conditions.extend(self.is_unmarked());
        conditions.extend(self.shape.filter.as_deref().map(sql::condition));
        conditions.retain(|condition| condition != "true");
        let conditions = match conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", conditions.join(" and ")),
        };
        format!("from {} as r{conditions}", self.table())
    }

    /// The condition that a row is settled: the target has reached its cursor, and was filled with
    /// rows of its age. Every run reads the rows without a cursor, so these are settled.
    pub fn is_settled(&self, parameters: &mut Parameters) -> String {
        match (self.is_reached(parameters), self.is_in_filled_span(parameters)) {
            (reached, None) => reached,
            (reached, Some(filled)) if reached == "true" => filled,
            (reached, Some(filled)) => format!("({reached} and {filled})"),
        }
    }

    /// The condition that a row is not older than the rows that the target was filled with.
    fn is_in_filled_span(&self, parameters: &mut Parameters) -> Option<String> {
        let FilledFrom { column, from } = self.filled_from?;
        let (name, type_name) = (sql::ident(&column.name), self.own_type(column));
        let from = parameters.bind(from.as_str());
        Some(format!("coalesce(r.{name} >= {from}::{type_name}, true)"))
    }

    /// The condition that the target has reached a row's cursor.
    fn is_reached(&self, parameters: &mut Parameters) -> String {
        let (Some(limit), Cursor::Column { name, nullable, .. }) =
            (self.settled_to, &self.shape.cursor)
        else {
            return "true".to_owned();
        };
        let column = self.shape.columns.iter().find(|column| column.name == *name);
        let type_name = column.map_or("text", |column| self.own_type(column));
        let reached = format!("r.{} <= {}::{type_name}", sql::ident(name), parameters.bind(limit));
        // The target's column may take NULL where the source's does not.
        match *nullable || self.side == Side::Target {
            true => format!("coalesce({reached}, true)"),
            false => reached,
        }
    }

    /// The expression of a wanted key as an array, and the clause `from ...` that gives the rows
    /// with the wanted keys.
    pub fn wanted_rows(&self, keys: &[RowKey], parameters: &mut Parameters) -> (String, String) {
        let values: Vec<String> = (0..self.shape.key.len()).map(wanted_value).collect();
        let from = format!(
            "from {wanted} join {table} as r on {is_wanted}",
            wanted = self.wanted_keys(keys, parameters),
            table = self.table(),
            is_wanted = self.is_wanted(),
        );
        (format!("array[{}]", values.join(", ")), from)
    }

    /// The condition that a row has a wanted key, meets the filter and is not marked.
    pub(super) fn is_wanted(&self) -> String {
        let mut conditions = vec![self.has_wanted_key()];
        conditions.extend(self.is_unmarked());
        conditions.extend(self.shape.filter.as_deref().map(sql::condition));
        conditions.join(" and ")
    }

    /// The condition that a row of the target is not marked as deleted.
    fn is_unmarked(&self) -> Option<String> {
        let Mark { column, kind } = self.shape.mark.as_ref()?;
        let column = format!("r.{}", sql::ident(column));
        let unmarked = match kind {
            MarkKind::Time => format!("{column} is null"),
            MarkKind::Flag => format!("{column} is not true"),
        };
        (self.side == Side::Target).then_some(unmarked)
    }

    /// The wanted keys as rows of texts. The operator's condition cannot mean one of their names.
    pub(super) fn wanted_keys(&self, keys: &[RowKey], parameters: &mut Parameters) -> String {
        let (mut lists, mut names) = (Vec::new(), Vec::new());
        for place in 0..self.shape.key.len() {
            let texts = keys.iter().filter_map(|key| key.values().get(place).cloned());
            lists.push(parameters.bind(texts.collect::<Vec<String>>()));
            names.push(format!("syncline_key_{place}"));
        }
        format!("unnest({}) as wanted({})", lists.join(", "), names.join(", "))
    }

    /// The condition that a row has a wanted key.
    fn has_wanted_key(&self) -> String {
        let pairs = self.key_columns().enumerate().map(|(place, column)| {
            let own = self.own_type(column);
            let (quoted, wanted) = (format!("r.{}", sql::ident(&column.name)), wanted_value(place));
            match sql::casts_like_a_literal(own) {
                _ if self.side == Side::Source && is_respelled(column) => {
                    format!("{} = {wanted}", self.key_text(column))
                }
                true => format!("{quoted} = {wanted}::{own}"),
                false => format!("{quoted}::text = {wanted}"),
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

    fn key_columns(&self) -> impl Iterator<Item = &'a MovedColumn> {
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

    /// The expression of a column's value in a row's text.
    fn value(&self, column: &MovedColumn) -> String {
        let quoted = format!("r.{}", sql::ident(&column.name));
        match (column.source_type == column.target_type, self.side) {
            (true, _) => quoted,
            (false, Side::Target) => format!("{quoted}::text"),
            (false, Side::Source) => {
                // `format` prints as COPY does; a cast would print true for t, and drop the blanks
                // of character(3).
                let printed = format!("format('%s', {quoted})");
                let converted = match comparison_type(&column.target_type) {
                    Some(type_name) => format!("{printed}::{type_name}::text"),
                    None => printed,
                };
                format!("case when {quoted}::text is not null then {converted} end")
            }
        }
    }

    /// The expression of a key column's text. Equal numbers have one text, however they are
    /// spelled.
    fn key_text(&self, column: &MovedColumn) -> String {
        let quoted = format!("r.{}", sql::ident(&column.name));
        match unmodified(&column.source_type).as_ref() {
            _ if column.source_type != column.target_type => self.value(column),
            "numeric" => format!("trim_scale({quoted})::text"),
            "real" | "double precision" => format!("({quoted} + 0)::text"),
            _ => format!("{quoted}::text"),
        }
    }

    /// The expression by which both sides order a key column: the column itself where its order is
    /// the same everywhere, otherwise the bytes of its text. No collation changes that order, and
    /// no index has it.
    fn order_term(&self, column: &MovedColumn) -> String {
        match column.native_order() {
            Some(_) => format!("r.{}", sql::ident(&column.name)),
            None => format!("({} collate \"C\")", self.key_text(column)),
        }
    }

    /// A given key as a row of values that compare with `order`.
    fn bound(&self, key: &RowKey, parameters: &mut Parameters) -> String {
        let parts: Vec<String> = self
            .key_columns()
            .zip(key.values())
            .map(|(column, value)| {
                let value = parameters.bind(value.as_str());
                match column.native_order() {
                    Some(type_name) => format!("{value}::{type_name}"),
                    None => format!("({value}::text collate \"C\")"),
                }
            })
            .collect();
        format!("({})", parts.join(", "))
    }

    /// The condition that a row lies within a range. No condition means all rows.
    fn is_within(&self, range: &KeyRange, parameters: &mut Parameters) -> Option<String> {
        let order = self.order();
        let mut compare = |operator: &str, key: &Option<RowKey>| {
            let bound = self.bound(key.as_ref()?, parameters);
            Some(format!("({order}) {operator} {bound}"))
        };
        let ends = [compare(">", &range.after), compare("<=", &range.upto)];
        let ends: Vec<String> = ends.into_iter().flatten().collect();
        (!ends.is_empty()).then(|| format!("({})", ends.join(" and ")))
    }
}

/// The expression of one column of a wanted key.
fn wanted_value(place: usize) -> String {
    format!("wanted.syncline_key_{place}")
}

/// The encoding in which a row's text is hashed. A database without an encoding has only bytes.
const ENCODING: &str = "(select case current_setting('server_encoding') \
    when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)::name";

fn hash(values: &str) -> String {
    format!("left(md5(convert_to(row({values})::text, {ENCODING})), 16)")
}

/// The expression of the index of the first end that does not lie before the row. `ends` are the
/// conditions that a row lies before or at an end; `first` is the index of the first of them.
fn binary_search(first: usize, ends: &[Option<String>]) -> String {
    if ends.len() < 2 {
        return first.to_string();
    }
    let middle = ends.len().div_ceil(2);
    let (left, right) = ends.split_at(middle);
    let Some(end) = &left[middle - 1] else { return binary_search(first, left) };
    let (before, after) = (binary_search(first, left), binary_search(first + middle, right));
    format!("case when {end} then {before} else {after} end")
}

/// Joins each range with the next one where nothing lies between them.
fn join_neighbours(ranges: &[KeyRange]) -> Vec<KeyRange> {
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

/// Says whether the target's text of a key may differ from the source's: by its spelling, or
/// because it was rounded. Compared in the column's own type, such a row would seem to be missing
/// from the source, and would be deleted. Whole numbers have one spelling, and texts keep theirs.
fn is_respelled(key: &MovedColumn) -> bool {
    let is_text = |name: &str| ["text", "character varying"].contains(&unmodified(name).as_ref());
    key.source_type != key.target_type
        && key.native_order() != Some("bigint")
        && !(is_text(&key.source_type) && is_text(&key.target_type))
}

/// The type to which the source's text is cast before it is compared with a column of the target.
/// It has no length, because a cast cuts what is too long, where a write refuses it. There is no
/// cast to a type that the target's database defines, since the source may not know it.
fn comparison_type(target_type: &str) -> Option<&str> {
    match unmodified(target_type).as_ref() {
        _ if !sql::built_in(target_type) => None,
        // An API does not say the length, and without one these types hold a single letter.
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
    fn a_range_is_found_by_halves() {
        let ends = ["a", "b", "c"].map(|end| Some(end.to_owned()));
        assert_eq!(binary_search(0, &[]), "0");
        assert_eq!(binary_search(0, &[None]), "0");
        let open = [&ends[..2], &[None]].concat();
        let expected = "case when b then case when a then 0 else 1 end else 2 end";
        assert_eq!(binary_search(0, &open), expected);
        assert_eq!(binary_search(0, &ends), expected, "no row lies behind the last range");
    }

    #[test]
    fn neighbours_are_joined_and_gaps_stay_gaps() {
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
        assert_eq!(join_neighbours(&ranges), [range(None, Some("b")), range(Some("c"), None)]);
        assert_eq!(join_neighbours(&[KeyRange::ALL]), [KeyRange::ALL]);
    }

    #[test]
    fn no_compared_text_is_cut_to_a_length() {
        for (target, expected) in [
            ("character varying(3)", None),
            ("character(3)", Some("bpchar")),
            ("bit(3)", Some("bit varying")),
            ("bit(3)[]", Some("bit(3)[]")),
            ("numeric(4,1)", Some("numeric(4,1)")),
            ("public.mood", None),
        ] {
            assert_eq!(comparison_type(target), expected, "{target}");
        }
    }
}
