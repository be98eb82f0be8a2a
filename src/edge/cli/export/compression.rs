//! Compresses the bytes of a file while they are written.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// The bytes of a frame of zstd. A file may have any number of frames. Repetitions are compressed
/// within a frame alone.
const FRAME_BYTES: usize = 4 << 20;

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// Gzip.
    Gzip,
    /// Zstd.
    Zstd,
}

impl Compression {
    /// The ending of the names of such files.
    pub fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Wraps a writer, so that the bytes for it are compressed.
    pub fn wrap<W: Write>(self, inner: W) -> Compressed<W> {
        match self {
            Self::None => Compressed::None(inner),
            Self::Gzip => Compressed::Gzip(GzEncoder::new(inner, flate2::Compression::default())),
            Self::Zstd => Compressed::Zstd { inner, waiting: Vec::new() },
        }
    }
}

/// A writer with compression. Its output is complete only after `finish`.
pub enum Compressed<W: Write> {
    /// The bytes are written as they are.
    None(W),
    /// The bytes are written as one member of gzip.
    Gzip(GzEncoder<W>),
    /// The bytes are written as frames of zstd.
    Zstd {
        /// The writer.
        inner: W,
        /// The bytes of the next frame.
        waiting: Vec<u8>,
    },
}

impl<W: Write> Compressed<W> {
    /// Writes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(inner) => inner.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd { inner, waiting } => {
                waiting.extend_from_slice(bytes);
                if waiting.len() >= FRAME_BYTES {
                    inner.write_all(&frame(waiting))?;
                    waiting.clear();
                }
                Ok(())
            }
        }
    }

    /// Writes the remaining bytes, and returns the writer.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(inner) => Ok(inner),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd { mut inner, waiting } => {
                inner.write_all(&frame(&waiting))?;
                Ok(inner)
            }
        }
    }
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}
