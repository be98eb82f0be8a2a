//! Decodes a file's bytes into UTF-8, a piece at a time. A byte order mark decides the encoding,
//! even if the user named another. Without both, the bytes count as UTF-8, which `read` checks.

use std::io::{self, Cursor, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// The bytes that are read and decoded at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A text as UTF-8, and the encoding of its file.
pub struct DecodedText {
    /// The text, without a byte order mark.
    pub text: Box<dyn Read + Send>,
    /// The encoding of the file.
    pub encoding: &'static Encoding,
}

/// Looks for a byte order mark, and decodes the bytes after it. Bytes that the encoding does not
/// allow give an error of kind `InvalidData`, after all text before them.
pub fn decode(
    mut bytes: impl Read + Send + 'static,
    named: Option<&'static Encoding>,
) -> io::Result<DecodedText> {
    let mut head = Vec::new();
    bytes.by_ref().take(3).read_to_end(&mut head)?;
    let (encoding, mark) = match Encoding::for_bom(&head) {
        Some((encoding, mark)) => (encoding, mark),
        None => (named.unwrap_or(UTF_8), 0),
    };
    head.drain(..mark);
    let bytes = Cursor::new(head).chain(bytes);
    let text: Box<dyn Read + Send> = match encoding == UTF_8 {
        true => Box::new(bytes),
        false => Box::new(Utf8Reader::new(bytes, encoding.new_decoder_without_bom_handling())),
    };
    Ok(DecodedText { text, encoding })
}

/// Reads text of another encoding as UTF-8.
struct Utf8Reader<R> {
    bytes: R,
    decoder: Decoder,
    input: Vec<u8>,
    input_position: usize,
    output: Vec<u8>,
    output_position: usize,
    state: State,
}

/// The state after the decoded bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    More,
    Malformed,
    Ended,
}

impl<R: Read> Utf8Reader<R> {
    fn new(bytes: R, decoder: Decoder) -> Self {
        Self {
            bytes,
            decoder,
            input: Vec::new(),
            input_position: 0,
            output: Vec::new(),
            output_position: 0,
            state: State::More,
        }
    }

    /// Decodes the next piece.
    fn decode_piece(&mut self) -> io::Result<()> {
        let mut last = false;
        if self.input_position == self.input.len() {
            self.input.clear();
            self.input_position = 0;
            self.bytes.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut self.input)?;
            last = self.input.is_empty();
        }
        self.output.resize(PIECE_BYTES, 0);
        self.output_position = 0;
        let input = &self.input[self.input_position..];
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(input, &mut self.output, last);
        self.input_position += read;
        self.output.truncate(written);
        self.state = match result {
            DecoderResult::Malformed(..) => State::Malformed,
            DecoderResult::InputEmpty if last => State::Ended,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => State::More,
        };
        Ok(())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.output_position == self.output.len() {
            match self.state {
                State::More => self.decode_piece()?,
                State::Malformed => return Err(io::ErrorKind::InvalidData.into()),
                State::Ended => return Ok(0),
            }
        }
        let count = buffer.len().min(self.output.len() - self.output_position);
        buffer[..count]
            .copy_from_slice(&self.output[self.output_position..self.output_position + count]);
        self.output_position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], named: Option<&str>) -> io::Result<String> {
        let named = named.map(|name| Encoding::for_label(name.as_bytes()).unwrap());
        let mut text = String::new();
        decode(Cursor::new(bytes.to_vec()), named)?.text.read_to_string(&mut text)?;
        Ok(text)
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_tells_the_encoding_and_is_no_part_of_the_text() {
        let utf_8 = ["\u{feff}".as_bytes(), "é€😀".as_bytes()].concat();
        assert_eq!(text(&utf_8, None).unwrap(), "é€😀");
        assert_eq!(text(&utf_8, Some("windows-1252")).unwrap(), "é€😀");
        assert_eq!(text(&utf_16("\u{feff}é€😀", u16::to_le_bytes), None).unwrap(), "é€😀");
        assert_eq!(text(&utf_16("\u{feff}é€😀", u16::to_be_bytes), None).unwrap(), "é€😀");
    }

    #[test]
    fn a_named_encoding_is_decoded_across_the_pieces() {
        let long = "aé€😀".repeat(PIECE_BYTES / 5 + 7);
        assert_eq!(text(&utf_16(&long, u16::to_le_bytes), Some("utf-16le")).unwrap(), long);
        assert_eq!(text(b"caf\xe9 \x80", Some("latin1")).unwrap(), "café €");
        assert_eq!(text(b"", Some("utf-16le")).unwrap(), "");
    }

    #[test]
    fn bytes_that_the_encoding_does_not_allow_are_an_error_after_the_text_before_them() {
        let mut broken = utf_16("abc", u16::to_le_bytes);
        broken.extend([0x00, 0xdc, b'd', 0]);
        let named = Encoding::for_label(b"utf-16le");
        let mut reader = decode(Cursor::new(broken), named).unwrap().text;
        let mut before = [0; 3];
        reader.read_exact(&mut before).unwrap();
        assert_eq!(&before, b"abc");
        assert_eq!(reader.read(&mut before).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(text(b"a", Some("utf-16le")).is_err(), "half a letter");
    }
}
