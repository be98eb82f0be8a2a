//! Whether a call was signed by QStash.
