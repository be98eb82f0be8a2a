//! QStash and the function together: schedules, deliveries, and what goes wrong between them.

mod day;
mod deliveries;
mod killed_function;
mod local_qstash;
mod local_qstash_api;
mod lost_messages;
mod mishaps;
mod schedules;
