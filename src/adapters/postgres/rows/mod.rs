//! The bytes of rows, in the encodings in which they travel.
//!
//! - `copy_frames`: finds rows and values in the bytes of a COPY
//! - `json_to_copy`: reads rows as JSON, and turns them into lines of a COPY
//! - `json_page`: reads and writes pages of JSON rows in single statements, as an API needs them
//! - `keys`: reads the keys of a page's rows, and takes rows out of a page

pub mod copy_frames;
pub mod json_page;
pub mod json_to_copy;
pub mod keys;
