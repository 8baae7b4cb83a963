//! Places in a track, and what part of it is asked for, as the command line writes them.

use std::str::FromStr;

use moqingbird::wire::model::{EndLocation, Location, SubscriptionFilter};

/// `GROUP` or `GROUP/OBJECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    group: u64,
    object: Option<u64>,
}

impl Place {
    /// The first location that is meant.
    pub(crate) fn start(self) -> Location {
        Location::new(self.group, self.object.unwrap_or(0))
    }

    /// The last location that is meant: without an object, the whole group.
    pub(crate) const fn end(self) -> EndLocation {
        EndLocation { group: self.group, object: self.object }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let problem = |error| format!("{error}; a place is GROUP or GROUP/OBJECT, such as 3 or 3/10");
            text.parse().map_err(problem)
        };
        match text.split_once('/') {
            Some((group, object)) => Ok(Self { group: number(group)?, object: Some(number(object)?) }),
            None => Ok(Self { group: number(text)?, object: None }),
        }
    }
}

/// Which new objects a subscription is to pass (draft-14 §5.1, draft-16 §5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) Option<SubscriptionFilter>);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = |text: &str| text.parse::<Place>().map(Place::start);
        let filter = match text {
            "none" => None,
            "largest" => Some(SubscriptionFilter::LargestObject),
            "next-group" => Some(SubscriptionFilter::NextGroupStart),
            _ => match text.split_once("..") {
                Some((from, "")) => Some(SubscriptionFilter::AbsoluteStart(start(from)?)),
                Some((from, to)) => {
                    let end_group = to.parse().map_err(|_| format!("`{to}` is not a group's number"))?;
                    Some(SubscriptionFilter::AbsoluteRange { start: start(from)?, end_group })
                }
                None => {
                    return Err(
                        "write largest, next-group, none, GROUP[/OBJECT].. or GROUP[/OBJECT]..GROUP, \
                                such as 3/10.. or 3..7"
                            .to_owned(),
                    );
                }
            },
        };
        Ok(Self(filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_groups_or_objects() {
        assert_eq!("3".parse(), Ok(Place { group: 3, object: None }));
        assert_eq!("3/10".parse(), Ok(Place { group: 3, object: Some(10) }));
        for wrong in ["", "x", "3/", "/1", "3/1/2", "-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_are_named_or_ranges() {
        let start = Location::new(3, 10);
        for (text, filter) in [
            ("none", None),
            ("largest", Some(SubscriptionFilter::LargestObject)),
            ("next-group", Some(SubscriptionFilter::NextGroupStart)),
            ("3/10..", Some(SubscriptionFilter::AbsoluteStart(start))),
            ("3/10..7", Some(SubscriptionFilter::AbsoluteRange { start, end_group: 7 })),
        ] {
            assert_eq!(text.parse(), Ok(Filter(filter)), "{text}");
        }
        for wrong in ["", "..", "latest", "3", "3..x", "3..7/1", "x.."] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }
}
