//! The outsides, one folder each. An adapter knows its outside and none of the others.

pub mod postgres;
