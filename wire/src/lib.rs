//! Bytes and meanings of MoQT.

mod version;

pub use version::Version;
