//! Times as reports write them.

use std::time::Duration;

use time::OffsetDateTime;

/// `2026-07-22T10:11:12.131415+00:00`, as Python's `isoformat` writes it.
pub(crate) fn precise(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!("{}.{:06}+00:00", seconds(time), time.microsecond())
}

/// `2026-07-22T10:11:12Z`.
pub(crate) fn plain(time: OffsetDateTime) -> String {
    format!("{}Z", seconds(time.to_offset(time::UtcOffset::UTC)))
}

fn seconds(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", u8::from(month))
}

/// Milliseconds with three decimals.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_in_utc() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_784_715_072_131_415_926).unwrap();
        assert_eq!(precise(time), "2026-07-22T10:11:12.131415+00:00");
        assert_eq!(plain(time), "2026-07-22T10:11:12Z");
        assert_eq!(precise(OffsetDateTime::UNIX_EPOCH), "1970-01-01T00:00:00.000000+00:00");
    }

    #[test]
    fn milliseconds_keep_microseconds() {
        assert!((milliseconds(Duration::from_nanos(1_234_567)) - 1.235).abs() < f64::EPSILON);
    }
}
