//! The packed form of a large body. The description of hundreds of wide tables has more bytes than
//! Lambda takes or gives, and a tenth of them once it is compressed.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::manifest::BODY_BYTES;

/// The length from which a body is packed. Below it people read the bodies as they are.
const PACKED_FROM: usize = 64 << 10;

/// The largest body that travels.
const LARGEST: usize = BODY_BYTES;

/// The largest body that is unpacked: the manifest of a terabyte. A few kilobytes could unpack to
/// gigabytes.
const LARGEST_UNPACKED: usize = 32 << 20;

/// The first bytes of RFC 1952. No JSON begins with them.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The reason why a body does not travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It is larger than one request or answer may be.
    #[error("It is larger than one call carries")]
    TooLarge,
    /// It cannot be unpacked.
    #[error("It cannot be unpacked")]
    Unreadable,
}

/// Packs JSON, unless it is short.
pub fn pack(json: impl Into<Bytes>) -> Result<Bytes, BadBody> {
    let json = json.into();
    if json.len() < PACKED_FROM {
        return Ok(json);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).expect("memory takes all bytes");
    let packed = encoder.finish().expect("memory takes all bytes");
    match packed.len() <= LARGEST && json.len() <= LARGEST_UNPACKED {
        true => Ok(packed.into()),
        false => Err(BadBody::TooLarge),
    }
}

/// Unpacks a body, if it is packed.
pub fn unpack(body: &Bytes) -> Result<Bytes, BadBody> {
    if !is_packed(body) {
        return Ok(body.clone());
    }
    let mut json = Vec::new();
    let most = LARGEST_UNPACKED as u64 + 1;
    let read = GzDecoder::new(&body[..]).take(most).read_to_end(&mut json);
    read.map_err(|_| BadBody::Unreadable)?;
    match json.len() <= LARGEST_UNPACKED {
        true => Ok(json.into()),
        false => Err(BadBody::TooLarge),
    }
}

/// Says whether a body is packed.
pub fn is_packed(body: &[u8]) -> bool {
    body.starts_with(&MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_body_is_sent_as_it_is_and_a_large_one_is_packed() {
        let short = Bytes::from_static(b"{}");
        assert_eq!(pack(short.clone()), Ok(short.clone()));
        assert_eq!(unpack(&short), Ok(short));
        let large = Bytes::from(br#"{"column": "text"}"#.repeat(400_000));
        let packed = pack(large.clone()).expect("it is small once it is packed");
        assert!(packed.len() < large.len() / 10 && is_packed(&packed), "{}", packed.len());
        assert_eq!(unpack(&packed), Ok(large));
        assert_eq!(unpack(&packed.slice(..1_000)), Err(BadBody::Unreadable));
    }

    #[test]
    fn a_bomb_is_neither_sent_nor_unpacked() {
        let zeros = vec![0; LARGEST_UNPACKED + 1];
        assert_eq!(pack(zeros.clone()), Err(BadBody::TooLarge));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&zeros).expect("memory takes all bytes");
        let bomb = Bytes::from(encoder.finish().expect("memory takes all bytes"));
        assert!(bomb.len() < 50_000);
        assert_eq!(unpack(&bomb), Err(BadBody::TooLarge));
    }

    #[test]
    fn a_body_that_stays_larger_than_a_part_is_not_sent() {
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let noise = noise.take(LARGEST + 1).collect::<Vec<u8>>();
        assert_eq!(pack(noise), Err(BadBody::TooLarge));
    }
}
