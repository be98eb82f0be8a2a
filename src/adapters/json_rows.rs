//! Rows as JSON objects, a line each: where a row ends, and the values of its members.
//!
//! A line holds one object with its members in the order of the agreed columns. Blanks may stand
//! before it, and a comma and blanks behind it: so the list that PostgREST answers with is a page
//! as it is, without its brackets. Each value is a string, a number, a boolean or null. No line's
//! end stands inside of an object, because JSON escapes it in strings.

use std::ops::Range;

use crate::engine::model::type_name::unmodified;

/// Types whose values JSON tells as their own text does, or that are read from it as the same
/// value. A server prints each of them as a string, a number or a boolean.
const TOLD_AS_THEY_ARE: [&str; 18] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "text",
    "character varying",
    "character",
    "bpchar",
    "name",
    "uuid",
    "date",
    "timestamp with time zone",
    "timestamp without time zone",
    "time without time zone",
    // Its cast to text shows an encoding that it is not in.
    "xml",
];

/// Says whether a column's values travel as JSON tells them. All others are cast to text first:
/// JSON keeps no bounds of an array and no difference between SQL's NULL and JSON's, and what
/// becomes of a type of the database's own is decided there.
pub fn is_told_as_it_is(type_name: &str) -> bool {
    TOLD_AS_THEY_ARE.contains(&unmodified(type_name).as_ref())
}

/// A line that is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A row is not the JSON object that it should be: {0}")]
pub struct BadRow(&'static str);

/// Returns where each row of a page lies in its bytes, its line's end included. Each is checked.
pub fn rows(bytes: &[u8]) -> Result<Vec<Range<usize>>, BadRow> {
    let mut at = 0;
    let line = |line: &[u8]| {
        let start = at;
        at += line.len();
        members(line).try_for_each(|member| member.map(drop))?;
        Ok(start..at)
    };
    bytes.split_inclusive(|&byte| byte == b'\n').map(line).collect()
}

/// The value of a row's member at a place, counted from 0; none for null.
pub fn text(row: &[u8], place: usize) -> Result<Option<Vec<u8>>, BadRow> {
    let member = members(row).nth(place).ok_or(BadRow("it has too few members"))??;
    let mut text = Vec::new();
    match member {
        Member::Null => return Ok(None),
        Member::Bare(bare) => text.extend_from_slice(bare),
        Member::Quoted(quoted) => {
            for piece in pieces(quoted) {
                match piece? {
                    Piece::Plain(plain) => text.extend_from_slice(plain),
                    Piece::Escaped(letter) => {
                        text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
        }
    }
    Ok(Some(text))
}

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member<'a> {
    /// `null`.
    Null,
    /// A number or a boolean; an object or a list, too, as it is written.
    Bare(&'a [u8]),
    /// The text between a string's quotes, with its escapes.
    Quoted(&'a [u8]),
}

/// The values of a row's members, in their order. An error is the last of them.
pub fn members(row: &[u8]) -> impl Iterator<Item = Result<Member<'_>, BadRow>> {
    let mut reader = Reader { rest: row };
    let mut state = State::Before;
    std::iter::from_fn(move || {
        let next = match state {
            State::Before => reader.open(),
            State::Within => reader.next(),
            State::Done => return None,
        };
        state = if matches!(next, Ok(Some(_))) { State::Within } else { State::Done };
        next.transpose()
    })
}

/// A part of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it is written. It holds neither a control character nor a backslash.
    Plain(&'a [u8]),
    /// The character that an escape stands for.
    Escaped(char),
}

/// The parts of what stands between a string's quotes.
pub fn pieces(quoted: &[u8]) -> impl Iterator<Item = Result<Piece<'_>, BadRow>> {
    let mut rest = quoted;
    std::iter::from_fn(move || {
        let plain = rest.iter().position(|&byte| byte == b'\\').unwrap_or(rest.len());
        match (plain, rest.len()) {
            (_, 0) => None,
            (0, _) => {
                let unescaped = unescape(rest);
                rest = unescaped.as_ref().map_or(&[], |(_, after)| after);
                Some(unescaped.map(|(letter, _)| Piece::Escaped(letter)))
            }
            _ => {
                let (plain, after) = rest.split_at(plain);
                rest = after;
                Some(Ok(Piece::Plain(plain)))
            }
        }
    })
}

#[derive(Clone, Copy)]
enum State {
    Before,
    Within,
    Done,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The first member; none of an object that is empty.
    fn open(&mut self) -> Result<Option<Member<'a>>, BadRow> {
        self.expect(b'{', "it does not begin with a brace")?;
        match self.take(b'}') {
            true => self.end(),
            false => self.member().map(Some),
        }
    }

    fn next(&mut self) -> Result<Option<Member<'a>>, BadRow> {
        match self.take(b',') {
            true => self.member().map(Some),
            false => {
                self.expect(b'}', "it does not end with a brace")?;
                self.end()
            }
        }
    }

    /// Nothing but what separates two rows follows.
    fn end(&mut self) -> Result<Option<Member<'a>>, BadRow> {
        self.take(b',');
        self.skip_blanks();
        if self.rest.is_empty() { Ok(None) } else { Err(BadRow("something follows its end")) }
    }

    fn member(&mut self) -> Result<Member<'a>, BadRow> {
        self.expect(b'"', "a member has no name")?;
        self.quoted()?;
        self.expect(b':', "a member has no value")?;
        self.skip_blanks();
        match self.rest.first() {
            Some(b'"') => {
                self.rest = &self.rest[1..];
                self.quoted().map(Member::Quoted)
            }
            Some(b'{' | b'[') => self.nested().map(Member::Bare),
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}') || is_blank(*byte);
                let length = self.rest.iter().position(ends).unwrap_or(self.rest.len());
                match self.cut(length) {
                    b"" => Err(BadRow("a member has no value")),
                    b"null" => Ok(Member::Null),
                    bare => Ok(Member::Bare(bare)),
                }
            }
        }
    }

    /// Up to the closing quote, which is taken too; the opening one is behind us.
    fn quoted(&mut self) -> Result<&'a [u8], BadRow> {
        let mut at = 0;
        loop {
            let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
            let next = self.rest.get(at..).and_then(|rest| rest.iter().position(special));
            at += next.ok_or(BadRow("a string does not end"))?;
            match self.rest[at] {
                b'"' => break,
                b'\\' => at += 2,
                _ => return Err(BadRow("a string holds a control character")),
            }
        }
        let quoted = self.cut(at);
        self.rest = &self.rest[1..];
        Ok(quoted)
    }

    /// An object or a list, with all that is in it.
    fn nested(&mut self) -> Result<&'a [u8], BadRow> {
        let (start, mut depth) = (self.rest, 0_usize);
        loop {
            match self.rest.split_first() {
                None => return Err(BadRow("an object or a list does not end")),
                Some((byte, after)) => {
                    self.rest = after;
                    match byte {
                        b'"' => drop(self.quoted()?),
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                }
            }
            if depth == 0 {
                return Ok(&start[..start.len() - self.rest.len()]);
            }
        }
    }

    fn cut(&mut self, length: usize) -> &'a [u8] {
        let (cut, rest) = self.rest.split_at(length);
        self.rest = rest;
        cut
    }

    fn expect(&mut self, mark: u8, or: &'static str) -> Result<(), BadRow> {
        if self.take(mark) { Ok(()) } else { Err(BadRow(or)) }
    }

    fn take(&mut self, mark: u8) -> bool {
        self.skip_blanks();
        let after = self.rest.strip_prefix(&[mark]);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// Returns what the escape stands for that the bytes begin with, and what follows it.
fn unescape(bytes: &[u8]) -> Result<(char, &[u8]), BadRow> {
    const BROKEN: BadRow = BadRow("a string holds a broken escape");
    let letter = match *bytes.get(1).ok_or(BROKEN)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        plain @ (b'"' | b'\\' | b'/') => char::from(plain),
        b'u' => {
            let (unit, after) = unit(bytes).ok_or(BROKEN)?;
            let (units, after) = match unit {
                0xd800..0xdc00 => {
                    let (low, after) = self::unit(after).ok_or(BROKEN)?;
                    (vec![unit, low], after)
                }
                _ => (vec![unit], after),
            };
            let letter = char::decode_utf16(units).next().and_then(Result::ok).ok_or(BROKEN)?;
            return Ok((letter, after));
        }
        _ => return Err(BROKEN),
    };
    Ok((letter, &bytes[2..]))
}

/// The UTF-16 unit of a `\u` that the bytes begin with.
fn unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = bytes.strip_prefix(b"\\u")?.split_first_chunk::<4>()?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, after))
}

#[cfg(test)]
#[path = "json_rows_tests.rs"]
mod tests;
