//! How fast a sender may go.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};

/// How a sender finds out how fast it may go. Each end of a connection chooses for what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionControl {
    /// CUBIC (RFC 9438): loss makes it slower. The default.
    #[default]
    Cubic,
    /// NewReno (RFC 9002 §7): as CUBIC, and slower to come back on long paths.
    NewReno,
    /// BBR: it measures the path's rate, and takes loss for no sign. Experimental.
    Bbr,
}

impl CongestionControl {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Cubic, Self::NewReno, Self::Bbr];

    const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr => "bbr",
        }
    }

    pub(super) fn factory(self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::NewReno => Arc::new(NewRenoConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

impl fmt::Display for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CongestionControl {
    type Err = CongestionControlError;

    fn from_str(text: &str) -> Result<Self, CongestionControlError> {
        let named = Self::ALL.iter().find(|control| control.name().eq_ignore_ascii_case(text));
        named.copied().ok_or_else(|| CongestionControlError { input: text.to_owned() })
    }
}

/// A text that names no [`CongestionControl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CongestionControlError {
    input: String,
}

impl fmt::Display for CongestionControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no congestion control: write cubic, newreno or bbr", self.input)
    }
}

impl std::error::Error for CongestionControlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_is_written() {
        for control in CongestionControl::ALL {
            assert_eq!(control.to_string().parse(), Ok(*control));
            assert_eq!(control.to_string().to_uppercase().parse(), Ok(*control));
        }
        let error = "reno".parse::<CongestionControl>().unwrap_err().to_string();
        assert!(error.starts_with("`reno`") && error.contains("newreno"), "{error}");
    }
}
