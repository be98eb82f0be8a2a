//! Compresses what is written, on the way to its file.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// The bytes of a frame of zstd. A file may have any number of frames; a repetition in another
/// frame is not found.
const FRAME: usize = 4 << 20;

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As gzip does.
    Gzip,
    /// As zstd does.
    Zstd,
}

impl Compression {
    /// The end of the names of such files.
    pub fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Writes to a place in this way.
    pub fn onto<W: Write>(self, inner: W) -> Compressed<W> {
        match self {
            Self::None => Compressed::None(inner),
            Self::Gzip => Compressed::Gzip(GzEncoder::new(inner, flate2::Compression::default())),
            Self::Zstd => Compressed::Zstd { inner, waiting: Vec::new() },
        }
    }
}

/// A place that is written to in a way. It is whole after `finish` alone.
pub enum Compressed<W: Write> {
    /// As it comes.
    None(W),
    /// As one member of gzip.
    Gzip(GzEncoder<W>),
    /// As frames of zstd, with what the next one begins with.
    Zstd {
        /// The place.
        inner: W,
        /// Bytes that are in no frame yet.
        waiting: Vec<u8>,
    },
}

impl<W: Write> Compressed<W> {
    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(inner) => inner.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd { inner, waiting } => {
                waiting.extend_from_slice(bytes);
                if waiting.len() >= FRAME {
                    inner.write_all(&frame(waiting))?;
                    waiting.clear();
                }
                Ok(())
            }
        }
    }

    /// Writes what is still to be written, and gives the place back.
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
