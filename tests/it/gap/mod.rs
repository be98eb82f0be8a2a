//! `syncline gap`: files that fill a gap.

mod checkpoint;
mod files;
mod import;
