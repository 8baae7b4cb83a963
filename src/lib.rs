//! Media over QUIC Transport.

pub use moqingbird_wire as wire;
pub use moqingbird_wire::Version;
