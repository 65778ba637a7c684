//! What processes have used, from /proc: processor time and memory.

use std::fs;
use std::time::Duration;

/// A tick of `utime` and `stime`: the kernel shows a hundred a second on every machine.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of these processes with all their threads, in user and kernel.
pub(crate) fn used(processes: &[u32]) -> Duration {
    processes.iter().filter_map(|id| ticks(*id)).map(|ticks| TICK * ticks).sum()
}

fn ticks(process: u32) -> Option<u32> {
    let fields = fields(process)?;
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(number(11)? + number(12)?)
}

/// A process and its children.
pub(crate) fn family(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| fields(*id).is_some_and(|fields| fields.get(1) == Some(&parent.to_string()));
    std::iter::once(parent).chain(ids.filter(is_child)).collect()
}

/// The fields after the name, which may itself hold spaces: state, parent, and so on.
fn fields(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Resident memory in MiB: now, and at most so far.
pub(crate) fn resident(process: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1_024.0)
    };
    Some((mib("VmRSS:")?, mib("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_figures_can_be_read() {
        let own = std::process::id();
        let (now, most) = resident(own).unwrap();
        assert!(now > 0.5 && most >= now * 0.9);
        assert!(ticks(own).is_some());
        assert_eq!(family(own).first(), Some(&own));
    }
}
