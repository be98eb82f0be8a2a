//! QStash and those who deal with it: the function it calls, other receivers, and forgers.

pub mod hostile;
pub mod post;
pub mod queued;
pub mod receiver;
