//! Which drafts a command may speak, as people write it.

use std::fmt;
use std::str::FromStr;

use moqingbird::Version;

/// The drafts that are allowed, newest first. Written `14`, `draft-14`, or a list with commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drafts(Vec<Version>);

impl Drafts {
    /// Every draft that this implementation speaks.
    pub fn all() -> Self {
        Self(Version::ALL.to_vec())
    }

    /// Only this draft.
    pub fn only(version: Version) -> Self {
        Self(vec![version])
    }

    /// The drafts, newest first.
    pub fn versions(&self) -> &[Version] {
        &self.0
    }

    /// The drafts of a list that may name others too, as a harness sets it for every client: those that this
    /// implementation speaks.
    ///
    /// # Errors
    /// Something in the list is not the name of a draft, or none of the drafts is spoken here.
    pub fn from_offer(list: &str) -> Result<Self, DraftsError> {
        let numbers = numbers(list)?;
        let known = numbers.iter().filter_map(|number| Version::from_number(*number)).collect();
        Self::newest_first(known).ok_or_else(|| DraftsError::NotSpoken(list.to_owned()))
    }

    fn newest_first(mut versions: Vec<Version>) -> Option<Self> {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.dedup();
        (!versions.is_empty()).then_some(Self(versions))
    }
}

impl FromStr for Drafts {
    type Err = DraftsError;

    fn from_str(list: &str) -> Result<Self, DraftsError> {
        let version =
            |number| Version::from_number(number).ok_or_else(|| DraftsError::NotSpoken(number.to_string()));
        let versions = numbers(list)?.into_iter().map(version).collect::<Result<_, _>>()?;
        Self::newest_first(versions).ok_or_else(|| DraftsError::NotADraft(list.to_owned()))
    }
}

/// `14`, `draft-14`, `14,draft-16`.
fn numbers(list: &str) -> Result<Vec<u16>, DraftsError> {
    let number = |item: &str| {
        let digits = item.strip_prefix("draft-").unwrap_or(item);
        let canonical = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| canonical).ok_or_else(|| DraftsError::NotADraft(item.to_owned()))
    };
    list.split([',', ' ']).filter(|item| !item.is_empty()).map(number).collect()
}

impl fmt::Display for Drafts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, version) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{version}")?;
        }
        Ok(())
    }
}

/// A text that names no drafts of this implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DraftsError {
    /// This is not the name of a draft.
    NotADraft(String),
    /// These are drafts, but none of ours.
    NotSpoken(String),
}

impl fmt::Display for DraftsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADraft(input) => write!(f, "`{input}` is not a draft")?,
            Self::NotSpoken(input) => write!(f, "draft `{input}` is not spoken here")?,
        }
        let numbers = Version::ALL.iter().rev().map(|version| version.number().to_string());
        let numbers: Vec<_> = numbers.collect();
        write!(f, ": write {} or {}", numbers.join(", "), numbers.join(","))
    }
}

impl std::error::Error for DraftsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Vec<u16>, DraftsError> {
        let drafts: Drafts = list.parse()?;
        Ok(drafts.versions().iter().map(|version| version.number()).collect())
    }

    #[test]
    fn every_form_is_read_and_the_newest_comes_first() {
        assert_eq!(parse("14"), Ok(vec![14]));
        assert_eq!(parse("draft-16"), Ok(vec![16]));
        assert_eq!(parse("14,16"), Ok(vec![16, 14]));
        assert_eq!(parse("draft-14, draft-16,14"), Ok(vec![16, 14]));
    }

    #[test]
    fn what_is_not_spoken_is_refused_with_the_input_and_the_choice() {
        for (list, named) in [("15", "15"), ("14,99", "99"), ("latest", "latest"), ("", ""), ("+14", "+14")] {
            let error = parse(list).unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{error}");
            assert!(error.ends_with("write 14, 16 or 14,16"), "{error}");
        }
    }

    #[test]
    fn an_offer_keeps_what_is_spoken() {
        let offer = |list| Drafts::from_offer(list).map(|drafts| drafts.to_string());
        assert_eq!(offer("draft-18,draft-16"), Ok("draft-16".to_owned()));
        assert_eq!(offer("draft-18"), Err(DraftsError::NotSpoken("draft-18".to_owned())));
        assert_eq!(offer("eighteen"), Err(DraftsError::NotADraft("eighteen".to_owned())));
    }
}
