//! Values of every type, encoding and release: they arrive in every byte.

mod cursors;
pub mod encodings;
pub mod every_key;
pub mod every_type;
pub mod json_pages;
pub mod own_types;
mod releases;
mod session_defaults;
mod sql_text;
