//! Whole copies over HTTP, at the limits of what carries them.

mod lambda;
mod lost_answers;
mod many_tables;
