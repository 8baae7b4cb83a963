//! Media over QUIC Transport (MoQT), draft-ietf-moq-transport-14 and -16.

pub use moqingbird_wire as wire;
pub use moqingbird_wire::Version;

pub mod session;
