//! The ordinary sync: rows, cursors, tables and their order.

mod add_columns;
mod basics;
mod cursors;
mod cycles;
mod drift;
mod drift_during_run;
mod lookback;
mod newest_wins;
mod parents;
mod round_trips;
mod sequences;
mod shapes;
mod unchanged_rows;
mod views;
