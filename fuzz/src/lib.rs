//! The bodies of the fuzz targets, as plain functions of octets.

pub mod targets;
