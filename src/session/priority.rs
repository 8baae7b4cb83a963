//! In which order data streams are sent, as one number (draft-14 §7.2, draft-16 §7.2).

use moqingbird_wire::model::GroupOrder;

/// How many groups fit between the first and the last place.
const PLACES: u64 = 0x7fff;

/// The place of a subgroup in the order of sending; higher goes first.
///
/// 8 bits of subscriber priority, then 8 bits of publisher priority, then 15 bits of the group's place in the
/// subscription's order. `base` is the group from which distances are measured: the same for every stream of a
/// subscription. Always below [`i32::MAX`] but for the most urgent of all, so that control streams can go above.
pub fn order(subscriber: u8, publisher: u8, groups: GroupOrder, base: u64, group: u64) -> i32 {
    let distance = group.saturating_sub(base).min(PLACES);
    let place = match groups {
        GroupOrder::Ascending => PLACES - distance,
        GroupOrder::Descending => distance,
    };
    (i32::from(!subscriber) << 23) | (i32::from(!publisher) << 15) | i32::try_from(place).unwrap_or(0)
}

/// Whether a group can be placed exactly from `base`.
pub(super) const fn in_reach(base: u64, group: u64) -> bool {
    group >= base && group - base <= PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use GroupOrder::{Ascending, Descending};

    #[test]
    fn subscriber_priority_outranks_publisher_priority_and_that_the_group() {
        assert!(order(1, 255, Ascending, 0, 9) > order(2, 0, Ascending, 0, 0));
        assert!(order(1, 3, Ascending, 0, 9) > order(1, 4, Ascending, 0, 0));
        assert!(order(1, 3, Ascending, 0, 8) > order(1, 3, Ascending, 0, 9));
        assert!(order(1, 3, Descending, 0, 9) > order(1, 3, Descending, 0, 8));
    }

    #[test]
    fn places_saturate_and_never_leave_their_bits() {
        assert_eq!(order(0, 0, Ascending, 0, 0), i32::MAX);
        assert_eq!(order(255, 255, Ascending, 0, u64::MAX), 0);
        assert_eq!(order(255, 255, Descending, 9, 3), 0);
        assert!(in_reach(5, 5 + PLACES) && !in_reach(5, 6 + PLACES) && !in_reach(5, 4));
    }
}
