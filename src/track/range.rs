//! The part of a track that a reader gets.

use moqingbird_wire::model::{Location, SubscriptionFilter};

/// Locations from `start` to the end of `end_group`, both included (draft-14 §5.1, draft-16 §5.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    start: Location,
    end_group: Option<u64>,
}

impl Range {
    /// What a filter passes of a track whose largest location is `largest`.
    pub(super) fn new(filter: Option<SubscriptionFilter>, largest: Option<Location>) -> Self {
        let open = |start| Self { start, end_group: None };
        match (filter, largest) {
            (Some(SubscriptionFilter::AbsoluteStart(start)), _) => open(start),
            (Some(SubscriptionFilter::AbsoluteRange { start, end_group }), _) => {
                Self { start, end_group: Some(end_group) }
            }
            (Some(SubscriptionFilter::LargestObject), Some(Location { group, object })) => {
                open(Location::new(group, object + 1))
            }
            (Some(SubscriptionFilter::NextGroupStart), Some(Location { group, .. })) => {
                open(Location::new(group + 1, 0))
            }
            _ => open(Location::default()),
        }
    }

    pub(super) fn passes(&self, location: Location) -> bool {
        self.start <= location && self.end_group.is_none_or(|end| location.group <= end)
    }

    /// Whether any location of a group passes.
    pub(super) fn passes_group(&self, group: u64) -> bool {
        self.start.group <= group && self.end_group.is_none_or(|end| group <= end)
    }

    /// The last group, if there is one.
    pub(super) const fn end_group(&self) -> Option<u64> {
        self.end_group
    }
}
