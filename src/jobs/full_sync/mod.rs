//! A full sync: all tables of one deployment, as of one moment, into another deployment.

pub mod ports;
