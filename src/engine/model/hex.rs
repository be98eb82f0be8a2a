//! Bytes as hexadecimal digits.

use std::fmt::Write as _;

/// Writes each byte as two lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
