//! The bytes of rows, in the forms in which they travel.
//!
//! - `copy_frames`: rows and values in the bytes of a COPY
//! - `json_to_copy`: rows as JSON on their way into a COPY
//! - `json_page`: a page of JSON rows behind an API
//! - `keys`: the keys of a page's rows, and a page without some of them

pub mod copy_frames;
pub mod json_page;
pub mod json_to_copy;
pub mod keys;
