//! The contents of a copy. Rows of one table make a frame, which is compressed alone. All frames,
//! one after the other, are cut into parts that fit one request. The manifest lists both with their
//! hashes, so its own hash stands for the whole copy.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::model::facts::Facts;
use crate::engine::model::hex::hex;
use crate::engine::model::page::Encoding;
use crate::engine::model::sequence::Sequence;
use crate::engine::model::table::TableName;

/// The version of this format and of the calls between deployments. Two deployments whose versions
/// differ refuse each other.
pub const PROTOCOL: u32 = 1;

/// The most bytes of a body. A function's request may have 6 MB, in which it is base64: a third
/// longer.
pub const BODY_BYTES: usize = 4 << 20;

/// The bytes of a part. Parts travel side by side, and each takes three times as much memory on its
/// way; smaller ones would take longer where each call crosses a continent.
pub const PART_BYTES: usize = 2 << 20;

/// The bytes of a frame's rows. A row that is larger is a frame of its own.
pub const FRAME_BYTES: usize = 4 << 20;

/// The most bytes of a frame's rows: a value of Postgres has a gigabyte at most, and so has a line
/// of a COPY. Whoever promises more means harm.
const MOST_FRAME_BYTES: u64 = (1 << 30) + FRAME_BYTES as u64;

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sha(String);

impl Sha {
    /// Computes the hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// Takes a hash as it was stored or sent. Text that is no hash equals none.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A digest of rows in any order: the sum of the first half of each row's SHA-256, so that a row
/// that stands twice counts twice. Digests of one encoding compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RowsDigest(u128);

impl RowsDigest {
    /// Adds a row: a line of a COPY without its end, or a row of a binary COPY.
    pub fn add_row(&mut self, row: &[u8]) {
        let hash = Sha256::digest(row);
        let half = hash.first_chunk().expect("a SHA-256 has 32 bytes");
        self.add(Self(u128::from_be_bytes(*half)));
    }

    /// Adds the rows of another digest.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl TryFrom<String> for RowsDigest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

impl From<RowsDigest> for String {
    fn from(digest: RowsDigest) -> Self {
        format!("{:032x}", digest.0)
    }
}

/// The contents of a copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub protocol: u32,
    /// The identity of the database that was exported.
    pub database: String,
    /// The export that wrote the copy: a second export of a session is another copy.
    pub export: String,
    /// The time of the snapshot, in seconds since 1970.
    pub taken_at: u64,
    /// The compression of the frames.
    pub compression: Compression,
    /// The facts of the tables on the deployment that was exported.
    pub facts: Facts,
    /// The tables, parents first.
    pub tables: Vec<CopiedTable>,
    /// The frames, in the order in which they are applied.
    pub frames: Vec<Frame>,
    /// The hashes of the parts, in their order.
    pub parts: Vec<Sha>,
    /// The sequences that fill columns of the tables, as of after the rows.
    pub sequences: Vec<Sequence>,
    /// The tables that are no part of a copy of all tables, since they have no key.
    #[serde(default)]
    pub keyless: Vec<TableName>,
}

/// The compression of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None: the rows as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
}

/// A table of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedTable {
    /// Its name.
    pub table: TableName,
    /// Its columns, in the order in which their values stand in a row.
    pub columns: Vec<String>,
    /// The number of its rows.
    pub rows: u64,
    /// The encoding of its rows in the frames. An older release knows text alone.
    #[serde(default)]
    pub encoding: Encoding,
}

/// Rows of one table that are compressed together, as a COPY writes them in the table's encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The table's place in the list of tables.
    pub table: usize,
    /// The length of the compressed bytes.
    pub bytes: u64,
    /// The length of the rows.
    pub raw_bytes: u64,
    /// The number of rows.
    pub rows: u64,
    /// The hash of the rows.
    pub sha: Sha,
    /// The digest of the rows in any order.
    pub digest: RowsDigest,
}

/// A manifest that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// The bytes are no manifest.
    #[error("It cannot be read")]
    Unreadable,
    /// Another version wrote it.
    #[error("It has the version {0}, and this program knows {PROTOCOL}")]
    Version(u32),
    /// Its numbers do not add up.
    #[error("Its numbers do not add up")]
    Sums,
}

impl Manifest {
    /// The frames of a table.
    pub fn frames_of<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = &'a Frame> {
        self.frames.iter().filter(move |frame| self.tables[frame.table].table == *table)
    }

    /// The bytes by which it is stored and sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is JSON")
    }

    /// Reads a manifest and checks that it is consistent, so that nobody has to later.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadManifest> {
        #[derive(Deserialize)]
        struct Version {
            protocol: u32,
        }
        let Version { protocol } =
            serde_json::from_slice(bytes).map_err(|_| BadManifest::Unreadable)?;
        if protocol != PROTOCOL {
            return Err(BadManifest::Version(protocol));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| BadManifest::Unreadable)?;
        match manifest.adds_up() {
            true => Ok(manifest),
            false => Err(BadManifest::Sums),
        }
    }

    /// The number of rows in all.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// The number of compressed bytes in all.
    pub fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.bytes).sum()
    }

    /// The length of a part.
    pub fn part_bytes(&self, number: u32) -> u64 {
        let start = u64::from(number) * PART_BYTES as u64;
        self.bytes().saturating_sub(start).min(PART_BYTES as u64)
    }

    fn adds_up(&self) -> bool {
        let mut rows = vec![0_u64; self.tables.len()];
        let mut bytes = 0_u64;
        for frame in &self.frames {
            let Some(table) = rows.get_mut(frame.table) else { return false };
            let sums = (table.checked_add(frame.rows), bytes.checked_add(frame.bytes));
            let (Some(more_rows), Some(more_bytes)) = sums else { return false };
            (*table, bytes) = (more_rows, more_bytes);
            // What cannot be compressed grows by a few bytes in a thousand.
            let most_packed = frame.raw_bytes.saturating_add(frame.raw_bytes / 100 + 1024);
            if frame.raw_bytes > MOST_FRAME_BYTES || frame.bytes > most_packed {
                return false;
            }
        }
        let in_all = rows.iter().try_fold(0_u64, |sum, rows| sum.checked_add(*rows));
        in_all.is_some()
            && self.tables.iter().all(|table| table.encoding != Encoding::Json)
            && self.tables.iter().map(|table| table.rows).eq(rows)
            && bytes.div_ceil(PART_BYTES as u64) == self.parts.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let frame = |table, bytes, rows| Frame {
            table,
            bytes,
            raw_bytes: 2 * bytes,
            rows,
            sha: Sha::of(b"rows"),
            digest: RowsDigest::default(),
        };
        let table = |name: &str, rows| CopiedTable {
            table: TableName::new("public", name),
            columns: vec!["id".to_owned()],
            rows,
            encoding: Encoding::Text,
        };
        Manifest {
            protocol: PROTOCOL,
            database: "d".to_owned(),
            export: "e".to_owned(),
            taken_at: 1_767_225_600,
            compression: Compression::Gzip,
            facts: Facts::default(),
            tables: vec![table("a", 3), table("b", 1)],
            frames: vec![frame(0, PART_BYTES as u64, 2), frame(0, 7, 1), frame(1, 3, 1)],
            parts: vec![Sha::of(b"one"), Sha::of(b"two")],
            sequences: Vec::new(),
            keyless: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_survives_its_bytes() {
        let manifest = manifest();
        assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest.clone()));
        assert_eq!((manifest.rows(), manifest.bytes()), (4, PART_BYTES as u64 + 10));
        assert_eq!((manifest.part_bytes(0), manifest.part_bytes(1)), (PART_BYTES as u64, 10));
    }

    #[test]
    fn a_manifest_whose_numbers_do_not_add_up_is_refused() {
        let changes: [fn(&mut Manifest); 9] = [
            |manifest| manifest.frames[1].raw_bytes = 10 << 30,
            |manifest| manifest.frames[0].raw_bytes = 10,
            |manifest| manifest.tables[0].rows = 4,
            |manifest| manifest.frames[2].table = 2,
            |manifest| manifest.frames[1].bytes = u64::MAX,
            |manifest| manifest.frames[1].rows = u64::MAX,
            |manifest| drop(manifest.parts.pop()),
            |manifest| manifest.tables[0].encoding = Encoding::Json,
            |manifest| manifest.parts.push(Sha::of(b"three")),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = manifest();
            change(&mut changed);
            let read = Manifest::from_bytes(&changed.to_bytes());
            assert_eq!(read, Err(BadManifest::Sums), "change {number}");
        }
    }

    #[test]
    fn a_manifest_of_another_version_is_named_as_such() {
        let newer = Manifest { protocol: PROTOCOL + 1, ..manifest() };
        let read = Manifest::from_bytes(&newer.to_bytes());
        assert_eq!(read, Err(BadManifest::Version(PROTOCOL + 1)));
        let strange = br#"{"protocol": 9, "everything": "else"}"#;
        assert_eq!(Manifest::from_bytes(strange), Err(BadManifest::Version(9)));
        assert_eq!(Manifest::from_bytes(b"{}"), Err(BadManifest::Unreadable));
    }
}
