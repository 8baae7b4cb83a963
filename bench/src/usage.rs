//! What a process has cost: CPU time and memory, as Linux tells them.

use std::fs;

use serde::{Deserialize, Serialize};

/// Clock ticks a second in `/proc`: 100 on every Linux that has not been rebuilt for another.
const TICKS: f64 = 100.0;

/// What a process has used so far. Where there is no `/proc`, nothing is known and everything is 0.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time, user and system, in seconds; known to a hundredth.
    pub(crate) cpu_s: f64,
    /// The most memory that was resident at once, in bytes.
    pub(crate) peak_rss_bytes: u64,
    /// The memory that is resident now, in bytes.
    pub(crate) rss_bytes: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        Self {
            cpu_s: cpu(&read("stat")).unwrap_or(0.0),
            peak_rss_bytes: memory(&status, "VmHWM:").unwrap_or(0),
            rss_bytes: memory(&status, "VmRSS:").unwrap_or(0),
        }
    }
}

/// The 14th and 15th fields; the 2nd is a name in parentheses that may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
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
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(memory("Name:\tx\nVmHWM:\t    12 kB\nVmRSS:\t 4 kB\n", "VmHWM:"), Some(12 * 1024));
        assert_eq!((cpu(""), memory("", "VmRSS:")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(std::process::id()).peak_rss_bytes > 0);
    }
}
