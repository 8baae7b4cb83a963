//! In which order data streams are sent, as one number (draft-14 §7.2, draft-16 §7.2).

use moqingbird_wire::model::{GroupOrder, SubgroupId};

/// Bits of a group's place, and of a subgroup's within it.
const GROUP_BITS: u32 = 12;
const SUBGROUP_BITS: u32 = 4;
/// How many groups, and how many subgroups, fit between the first and the last place.
const GROUPS: u64 = (1 << GROUP_BITS) - 1;
const SUBGROUPS: u64 = (1 << SUBGROUP_BITS) - 1;

/// The place of a subgroup in the order of sending; higher goes first.
///
/// 8 bits of subscriber priority, then 8 bits of publisher priority, then 12 bits of the group's place in the
/// subscription's order, then 4 of the Subgroup ID, of which the lower goes first. `base` is the group from which
/// distances are measured: the oldest open one, so that of two subscriptions that are equal neither goes before the
/// other. What is farther than there is room for shares the last place. Always below [`i32::MAX`]: control streams go
/// above all.
pub fn order(
    subscriber: u8,
    publisher: u8,
    groups: GroupOrder,
    base: u64,
    group: u64,
    subgroup: SubgroupId,
) -> i32 {
    let distance = group.saturating_sub(base).min(GROUPS);
    let place = match groups {
        GroupOrder::Ascending => GROUPS - distance,
        GroupOrder::Descending => distance,
    };
    let within = match subgroup {
        SubgroupId::Zero => SUBGROUPS,
        SubgroupId::Id(id) => SUBGROUPS - id.min(SUBGROUPS),
        // It is not known yet, and seldom small.
        _ => 0,
    };
    let low = (place << SUBGROUP_BITS) | within;
    let place = (u64::from(!subscriber) << 24) | (u64::from(!publisher) << 16) | low;
    i32::try_from(place as i64 + i64::from(i32::MIN)).unwrap_or(i32::MAX).min(i32::MAX - 1)
}

/// Whether a group can be placed exactly from `base`.
pub(super) const fn in_reach(base: u64, group: u64) -> bool {
    group >= base && group - base <= GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use GroupOrder::{Ascending, Descending};
    use SubgroupId::{FirstObject, Id, Zero};

    #[test]
    fn subscriber_priority_outranks_publisher_priority_and_that_the_group_and_that_the_subgroup() {
        assert!(order(1, 255, Ascending, 0, 9, Zero) > order(2, 0, Ascending, 0, 0, Zero));
        assert!(order(1, 3, Ascending, 0, 9, Zero) > order(1, 4, Ascending, 0, 0, Zero));
        assert!(order(1, 3, Ascending, 0, 8, Id(9)) > order(1, 3, Ascending, 0, 9, Zero));
        assert!(order(1, 3, Descending, 0, 9, Id(9)) > order(1, 3, Descending, 0, 8, Zero));
        assert!(order(1, 3, Ascending, 0, 8, Zero) > order(1, 3, Ascending, 0, 8, Id(1)));
        assert!(order(1, 3, Descending, 0, 8, Id(1)) > order(1, 3, Descending, 0, 8, FirstObject));
    }

    #[test]
    fn places_saturate_and_never_leave_their_bits() {
        assert_eq!(order(0, 0, Ascending, 0, 0, Zero), i32::MAX - 1);
        assert_eq!(order(255, 255, Ascending, 0, u64::MAX, Id(u64::MAX)), i32::MIN);
        assert_eq!(order(255, 255, Descending, 9, 3, FirstObject), i32::MIN);
        assert_eq!(order(9, 9, Ascending, 0, u64::MAX, Zero), order(9, 9, Ascending, 0, GROUPS, Zero));
    }
}
