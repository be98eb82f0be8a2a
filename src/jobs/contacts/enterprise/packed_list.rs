//! Changes that wait until all are counted: compressed, since up to 25,000 people wait in memory.

use std::io::BufReader;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The values that are compressed together. A person's row, subscriber and shadow repeat each
/// other, and a person resembles the next one.
const TOGETHER: usize = 200;

const OWN: &str = "what was packed here can be read";

/// A list in the order in which its values were added. All but the last ones are compressed.
#[derive(Debug)]
pub struct PackedList<T> {
    packed: Vec<Box<[u8]>>,
    last: Vec<T>,
}

impl<T> Default for PackedList<T> {
    fn default() -> Self {
        Self { packed: Vec::new(), last: Vec::new() }
    }
}

impl<T: Serialize + DeserializeOwned> PackedList<T> {
    /// Adds a value.
    pub fn push(&mut self, value: T) {
        self.last.push(value);
        if self.last.len() == TOGETHER {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            serde_json::to_writer(&mut encoder, &self.last).expect(OWN);
            self.packed.push(encoder.finish().expect("memory takes all bytes").into());
            self.last.clear();
        }
    }
}

impl<T: DeserializeOwned> PackedList<T> {
    /// Returns the values, some at a time.
    pub fn into_parcels(self) -> impl Iterator<Item = Vec<T>> {
        let unpack = |packed: Box<[u8]>| {
            let json = BufReader::new(GzDecoder::new(&packed[..]));
            serde_json::from_reader(json).expect(OWN)
        };
        let last = Some(self.last).filter(|last| !last.is_empty());
        self.packed.into_iter().map(unpack).chain(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_their_order_however_many_there_are() {
        for count in [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER] {
            let mut list = PackedList::default();
            (0..count).for_each(|number| list.push(format!("person {number}")));
            let back: Vec<String> = list.into_parcels().flatten().collect();
            let expected: Vec<String> =
                (0..count).map(|number| format!("person {number}")).collect();
            assert_eq!(back, expected);
        }
    }

    #[test]
    fn a_list_of_many_takes_a_tenth_of_its_text() {
        let mut list = PackedList::default();
        let text =
            |number: u32| format!("person {number}, who resembles the next one in all but that");
        let bytes: usize = (0..10_000).map(|number| text(number).len()).sum();
        (0..10_000).for_each(|number| list.push(text(number)));
        let packed: usize = list.packed.iter().map(|packed| packed.len()).sum();
        assert!(packed * 10 < bytes, "{packed} of {bytes} bytes");
    }
}
