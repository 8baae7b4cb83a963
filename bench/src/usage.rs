//! What a process has cost: CPU time and memory, as Linux tells them.

use std::fs;

use serde::{Deserialize, Serialize};

/// Clock ticks a second in `/proc`: 100 on every Linux that has not been rebuilt for another.
const TICKS: f64 = 100.0;

/// What a process has used so far. Where there is no `/proc`, nothing is known and everything is 0.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time, user and system, in seconds.
    pub(crate) cpu_s: f64,
    /// The most memory that was resident at once, in bytes.
    pub(crate) peak_rss_bytes: u64,
    /// The memory that is resident now, in bytes.
    pub(crate) rss_bytes: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Self {
            cpu_s: cpu(pid).unwrap_or(0.0),
            peak_rss_bytes: memory(&status, "VmHWM:").unwrap_or(0),
            rss_bytes: memory(&status, "VmRSS:").unwrap_or(0),
        }
    }
}

/// What the threads have used, to the nanosecond; what threads that have ended used is known in hundredths of a second only.
fn cpu(pid: u32) -> Option<f64> {
    let ticks = ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let used =
        threads.filter_map(|thread| on_cpu(&fs::read_to_string(thread.path().join("schedstat")).ok()?));
    Some(used.sum::<f64>().max(ticks))
}

/// Seconds from `stat`, rounded down: the 14th and 15th fields. The 2nd is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Seconds from `schedstat`: its first field has nanoseconds.
fn on_cpu(schedstat: &str) -> Option<f64> {
    Some(schedstat.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "77 (a) b (c) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!((ticks(stat), on_cpu("16785000 3646352 1")), (Some(3.0), Some(0.016_785)));
        assert_eq!(memory("Name:\tx\nVmHWM:\t    12 kB\nVmRSS:\t 4 kB\n", "VmHWM:"), Some(12 * 1024));
        assert_eq!((ticks(""), on_cpu(""), memory("", "VmRSS:")), (None, None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory_and_time() {
        let usage = Usage::of(std::process::id());
        assert!(usage.peak_rss_bytes > 0 && usage.cpu_s > 0.0, "{usage:?}");
    }
}
