//! The only reader of the environment and of `syncline.toml`.
