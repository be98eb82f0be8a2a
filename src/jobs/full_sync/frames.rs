//! Rows into frames and parts, and back. Frames are compressed on another thread, while the next
//! rows come.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tokio::task::JoinHandle;

use super::ports::{CopyStore, PartName};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{
    Compression, FRAME_BYTES, Frame, Manifest, PART_BYTES, RowsDigest, Sha,
};
use crate::engine::model::page::{Encoding, Page, binary_row};
use crate::engine::model::session::SessionId;

/// Cuts rows into frames, and frames into parts.
pub struct FrameWriter {
    compression: Compression,
    table: usize,
    encoding: Encoding,
    raw: Vec<u8>,
    compressing: Option<JoinHandle<CompressedFrame>>,
    frames: Vec<Frame>,
    /// Compressed bytes that are not in a part yet.
    rest: Vec<u8>,
}

struct CompressedFrame {
    frame: Frame,
    bytes: Vec<u8>,
}

impl FrameWriter {
    /// Begins a copy; the first table is the one with the number 0.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            table: 0,
            encoding: Encoding::Text,
            raw: Vec::new(),
            compressing: None,
            frames: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Says that the next rows are of this table and in this encoding.
    pub async fn begin(&mut self, table: usize, encoding: Encoding) {
        self.close().await;
        (self.table, self.encoding) = (table, encoding);
    }

    /// The frames that are closed so far.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Adds whole rows.
    pub async fn write(&mut self, rows: &[u8]) {
        if self.raw.len() + rows.len() > FRAME_BYTES {
            self.close().await;
        }
        if self.raw.is_empty() {
            self.raw.reserve_exact(FRAME_BYTES);
        }
        self.raw.extend_from_slice(rows);
    }

    /// Takes a part that is complete.
    pub fn part(&mut self) -> Option<Bytes> {
        if self.rest.len() < PART_BYTES {
            return None;
        }
        let rest = self.rest.split_off(PART_BYTES);
        Some(std::mem::replace(&mut self.rest, rest).into())
    }

    /// Ends the copy; returns its frames. The last part is whatever `part` and then `last` give.
    pub async fn finish(&mut self) -> Vec<Frame> {
        self.close().await;
        self.collect().await;
        std::mem::take(&mut self.frames)
    }

    /// Takes the last part, which may be short; none if nothing is left.
    pub fn last(&mut self) -> Option<Bytes> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| rest.into())
    }

    /// Closes the frame: it is compressed while the next one fills up.
    async fn close(&mut self) {
        if self.raw.is_empty() {
            return;
        }
        self.collect().await;
        let raw = std::mem::take(&mut self.raw);
        let (table, encoding, compression) = (self.table, self.encoding, self.compression);
        let compressing =
            tokio::task::spawn_blocking(move || compress(table, encoding, &raw, compression));
        self.compressing = Some(compressing);
    }

    async fn collect(&mut self) {
        let Some(compressing) = self.compressing.take() else { return };
        let CompressedFrame { frame, bytes } = compressing.await.expect("compressing never panics");
        self.frames.push(frame);
        self.rest.extend_from_slice(&bytes);
    }
}

fn compress(
    table: usize,
    encoding: Encoding,
    raw: &[u8],
    compression: Compression,
) -> CompressedFrame {
    let bytes = match compression {
        Compression::None => raw.to_vec(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 2), Level::fast());
            encoder.write_all(raw).expect("memory takes every byte");
            encoder.finish().expect("memory takes every byte")
        }
    };
    let mut digest = RowsDigest::default();
    let rows =
        each_row(encoding, raw, |row| digest.add_row(row)).expect("a server's rows are whole");
    let frame = Frame {
        table,
        bytes: bytes.len() as u64,
        raw_bytes: raw.len() as u64,
        rows,
        sha: Sha::of(raw),
        digest,
    };
    CompressedFrame { frame, bytes }
}

/// Calls for each row, and returns their number; none if the bytes are not made of whole rows. A
/// line break in a value of text is written as two letters, and the one behind a row is no part of
/// the row.
pub fn each_row(encoding: Encoding, raw: &[u8], mut row: impl FnMut(&[u8])) -> Option<u64> {
    let (mut rest, mut rows) = (raw, 0);
    while !rest.is_empty() {
        let (length, end) = match encoding {
            Encoding::Binary => (binary_row(rest).ok()?, 0),
            Encoding::Text | Encoding::Json => (memchr::memchr(b'\n', rest)?, 1),
        };
        row(&rest[..length]);
        rest = &rest[length + end..];
        rows += 1;
    }
    Some(rows)
}

/// Reads the frames of a copy from its parts in the spool.
pub struct FrameReader<'a> {
    store: &'a dyn CopyStore,
    session: &'a SessionId,
    manifest: &'a Manifest,
    /// The place of each frame's first byte.
    starts: Vec<u64>,
    /// The part that was read last: frames follow one another.
    part: Option<(u32, Bytes)>,
}

impl<'a> FrameReader<'a> {
    /// Reads the copy with this manifest.
    pub fn new(store: &'a dyn CopyStore, session: &'a SessionId, manifest: &'a Manifest) -> Self {
        let mut next = 0;
        let starts = manifest.frames.iter().map(|frame| {
            let start = next;
            next += frame.bytes;
            start
        });
        let starts = starts.collect();
        Self { store, session, manifest, starts, part: None }
    }

    /// Reads the rows of a frame, and checks that they are those of the manifest.
    pub async fn frame(&mut self, number: usize) -> Result<Page, Fault> {
        let frame = &self.manifest.frames[number];
        let (start, end) = (self.starts[number], self.starts[number] + frame.bytes);
        let mut bytes = Vec::new();
        let mut at = start;
        while at < end {
            let part = self.part(u32::try_from(at / PART_BYTES as u64).unwrap_or(u32::MAX)).await?;
            let from = (at % PART_BYTES as u64) as usize;
            let most = usize::try_from(end - at).unwrap_or(usize::MAX);
            let piece = &part[from.min(part.len())..part.len().min(from.saturating_add(most))];
            if piece.is_empty() {
                return Err(bad_copy("A part is shorter than its manifest says"));
            }
            bytes.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        let (expected, compression) = (frame.clone(), self.manifest.compression);
        let encoding = self.manifest.tables[frame.table].encoding;
        let unpacked =
            tokio::task::spawn_blocking(move || unpack(&bytes, &expected, encoding, compression));
        let bytes = unpacked.await.expect("unpacking never panics")?;
        Ok(Page { bytes, rows: frame.rows, last: None, complete: false })
    }

    async fn part(&mut self, number: u32) -> Result<Bytes, Fault> {
        if let Some((kept, bytes)) = &self.part
            && *kept == number
        {
            return Ok(bytes.clone());
        }
        let part = PartName { export: &self.manifest.export, number };
        // Two parts at once would be 2 MiB more.
        self.part = None;
        let bytes = self.store.part(self.session, &part).await?.ok_or_else(lost)?;
        let expected = self.manifest.parts.get(number as usize);
        if expected != Some(&Sha::of(&bytes)) {
            return Err(bad_copy("A part has another hash than its manifest says"));
        }
        self.part = Some((number, bytes.clone()));
        Ok(bytes)
    }
}

/// Unpacks a frame. It reads one byte more than the manifest promises at most: a few kilobytes
/// could unpack to gigabytes.
fn unpack(
    packed: &[u8],
    frame: &Frame,
    encoding: Encoding,
    compression: Compression,
) -> Result<Bytes, Fault> {
    let length = usize::try_from(frame.raw_bytes).unwrap_or(usize::MAX);
    let mut raw = Vec::with_capacity(length.min(FRAME_BYTES) + 1);
    match compression {
        Compression::None => raw.extend_from_slice(packed),
        Compression::Gzip => {
            let most = frame.raw_bytes.saturating_add(1);
            let read = GzDecoder::new(packed).take(most).read_to_end(&mut raw);
            read.map_err(|_| bad_copy("A frame cannot be unpacked"))?;
        }
    }
    let is_as_promised = raw.len() as u64 == frame.raw_bytes
        && each_row(encoding, &raw, |_| {}) == Some(frame.rows)
        && Sha::of(&raw) == frame.sha;
    match is_as_promised {
        true => Ok(raw.into()),
        false => Err(bad_copy("A frame has other rows than its manifest says")),
    }
}

fn bad_copy(message: &str) -> Fault {
    let hint = "start the full sync again; if it happens again, please report it";
    Fault::new(Step::Read, FaultCode::BadCopy, message, hint)
}

/// The fault for a part that is not there. A spool has no log of writes: a crash empties it.
pub fn lost() -> Fault {
    Fault::new(
        Step::Read,
        FaultCode::CopyLost,
        "The spool has not all parts of the copy",
        "resume the full sync: what is missing is sent again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(compression: Compression, rows: &[&[u8]]) -> (Vec<Frame>, Vec<Bytes>) {
        let mut writer = FrameWriter::new(compression);
        let mut parts = Vec::new();
        writer.begin(0, Encoding::Text).await;
        for lines in rows {
            writer.write(lines).await;
            parts.extend(writer.part());
        }
        let frames = writer.finish().await;
        while let Some(part) = writer.part() {
            parts.push(part);
        }
        parts.extend(writer.last());
        (frames, parts)
    }

    #[tokio::test]
    async fn parts_are_full_but_for_the_last_and_frames_hold_whole_rows() {
        let row = [b"a".repeat(3 << 20), b"\n".to_vec()].concat();
        let (frames, parts) = written(Compression::None, &[&row, &row, b"b\nc\n"]).await;
        let rows: Vec<u64> = frames.iter().map(|frame| frame.rows).collect();
        assert_eq!(rows, [1, 3]);
        let lengths: Vec<usize> = parts.iter().map(Bytes::len).collect();
        let last = 2 * row.len() + 4 - 3 * PART_BYTES;
        assert_eq!(lengths, [PART_BYTES, PART_BYTES, PART_BYTES, last]);
    }

    #[tokio::test]
    async fn a_row_larger_than_a_frame_is_one() {
        let row = [b"a".repeat(9 << 20), b"\n".to_vec()].concat();
        let (frames, parts) = written(Compression::None, &[b"b\n", &row, b"c\n"]).await;
        let sizes: Vec<u64> = frames.iter().map(|frame| frame.raw_bytes).collect();
        assert_eq!(sizes, [2, row.len() as u64, 2]);
        assert_eq!(parts.len(), row.len().div_ceil(PART_BYTES));
    }

    #[tokio::test]
    async fn a_frame_unpacks_to_what_the_manifest_promises_or_not_at_all() {
        let (frames, parts) = written(Compression::Gzip, &[b"a\n", b"b\n"]).await;
        let (frame, packed) = (&frames[0], &parts[0]);
        let unpacked =
            |packed: &[u8], frame: &Frame| unpack(packed, frame, Encoding::Text, Compression::Gzip);
        assert_eq!(unpacked(packed, frame).expect("it is whole"), "a\nb\n");
        let shorter = Frame { raw_bytes: 3, ..frame.clone() };
        let fewer = Frame { rows: 1, ..frame.clone() };
        let other = Frame { sha: Sha::of(b"x"), ..frame.clone() };
        for frame in [shorter, fewer, other] {
            let fault = unpacked(packed, &frame).expect_err("the numbers differ");
            assert_eq!(fault.code, FaultCode::BadCopy);
        }
        assert!(unpacked(&packed[..5], frame).is_err());
    }

    /// Rows of one field each.
    fn binary(values: &[&[u8]]) -> Vec<u8> {
        let row = |value: &&[u8]| {
            let length = i32::try_from(value.len()).expect("a short value").to_be_bytes();
            [&[0, 1], &length[..], value].concat()
        };
        values.iter().flat_map(row).collect()
    }

    #[tokio::test]
    async fn rows_in_binary_are_counted_and_digested_one_by_one() {
        let rows: [&[u8]; 3] = [b"a\nb", b"", b"c"];
        let mut writer = FrameWriter::new(Compression::Gzip);
        writer.begin(0, Encoding::Binary).await;
        writer.write(&binary(&rows)).await;
        let frames = writer.finish().await;
        let packed = writer.last().expect("a part");
        let mut digest = RowsDigest::default();
        rows.iter().for_each(|row| digest.add_row(&binary(&[row])));
        assert_eq!((frames[0].rows, frames[0].digest), (3, digest));
        let unpacked = |encoding| unpack(&packed, &frames[0], encoding, Compression::Gzip);
        assert_eq!(unpacked(Encoding::Binary).expect("it is whole"), binary(&rows));
        assert!(unpacked(Encoding::Text).is_err(), "the rows of another encoding are others");
    }

    #[tokio::test]
    async fn a_bomb_is_not_unpacked_beyond_the_promise() {
        let (frames, parts) = written(Compression::Gzip, &[&b"\n".repeat(4 << 20)]).await;
        let promised = Frame { raw_bytes: 10, ..frames[0].clone() };
        assert!(unpack(&parts[0], &promised, Encoding::Text, Compression::Gzip).is_err());
    }
}
