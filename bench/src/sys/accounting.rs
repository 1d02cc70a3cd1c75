//! What a proxy's processes cost: CPU time to the nanosecond, peak and present memory.

use rustix::process::Pid;
use std::fs;
use std::io;
use std::time::Duration;

/// CPU time of a process tree at one moment.
#[derive(Clone, Debug)]
pub(crate) struct CpuSample {
    /// User and system time together.
    pub(crate) total: Duration,
    /// Clock ticks in user mode; only good for the user share.
    user_ticks: u64,
    system_ticks: u64,
    /// The processes it covers, sorted.
    pub(crate) processes: Vec<i32>,
}

impl CpuSample {
    /// Adds up the process `root` and all its descendants.
    pub(crate) fn of_tree(root: i32) -> io::Result<Self> {
        let mut sample =
            Self { total: Duration::ZERO, user_ticks: 0, system_ticks: 0, processes: Vec::new() };
        for process in tree(root)? {
            let books = cpu_time(process).and_then(|time| Ok((time, Stat::of(process)?)));
            let Some((time, stat)) = unless_ended(process, root, books)? else { continue };
            sample.total += time;
            sample.user_ticks += stat.user_ticks;
            sample.system_ticks += stat.system_ticks;
            sample.processes.push(process);
        }
        Ok(sample)
    }

    /// The part of the CPU time between `earlier` and this sample that was spent in user mode, from 0 to 1.
    pub(crate) fn user_share_since(&self, earlier: &Self) -> f64 {
        let user = self.user_ticks.saturating_sub(earlier.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(earlier.system_ticks) as f64;
        if user + system > 0.0 { user / (user + system) } else { 0.0 }
    }
}

/// User memory of a process tree in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now, each shared page divided among those that share it (PSS). No kernel memory.
    pub(crate) resident_kib: u64,
    /// The sum of the processes' highest resident sets; pages they share count once for each.
    pub(crate) peak_kib: u64,
}

impl Memory {
    /// Adds up the process `root` and all its descendants.
    pub(crate) fn of_tree(root: i32) -> io::Result<Self> {
        let mut memory = Self { resident_kib: 0, peak_kib: 0 };
        for process in tree(root)? {
            let peak = kib_line(&format!("/proc/{process}/status"), "VmHWM:");
            let books =
                peak.and_then(|peak| Ok((kib_line(&format!("/proc/{process}/smaps_rollup"), "Pss:")?, peak)));
            let Some((resident, peak)) = unless_ended(process, root, books)? else { continue };
            memory.resident_kib += resident;
            memory.peak_kib += peak;
        }
        Ok(memory)
    }
}

/// The process and all its descendants, sorted by id.
fn tree(root: i32) -> io::Result<Vec<i32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end between the listing and this look at it.
        if let Ok(stat) = Stat::of(process) {
            parents.push((process, stat.parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    found.sort_unstable();
    Ok(found)
}

/// Nothing for a descendant that ended after it was listed; that is no error, but for the root it is.
fn unless_ended<T>(process: i32, root: i32, books: io::Result<T>) -> io::Result<Option<T>> {
    match books {
        Ok(books) => Ok(Some(books)),
        Err(error) if process != root && has_ended(process, &error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_ended(process: i32, error: &io::Error) -> bool {
    let gone = [libc::ESRCH, libc::ENOENT, libc::EINVAL].map(Some).contains(&error.raw_os_error());
    // A zombie has a folder in /proc but no memory to report.
    gone || Stat::of(process).is_ok_and(|stat| stat.zombie)
}

/// The fields of /proc/PID/stat that matter here (proc_pid_stat(5)).
struct Stat {
    zombie: bool,
    parent: i32,
    user_ticks: u64,
    system_ticks: u64,
}

impl Stat {
    fn of(process: i32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("/proc/{process}/stat reads strangely")))
    }

    /// The second field is the program's name in parentheses and may hold anything, so count behind it.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            zombie: *fields.first()? == "Z",
            parent: fields.get(1)?.parse().ok()?,
            user_ticks: number(11)?,
            system_ticks: number(12)?,
        })
    }
}

fn kib_line(path: &str, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{path} has no {key}")))
}

/// User and system time of all threads of a process, those that have ended included. The kernel scales
/// the ticks of /proc/PID/stat to this same sum, but shows it only in steps of 10 ms.
#[expect(unsafe_code, reason = "rustix has no clock_getcpuclockid for other processes")]
fn cpu_time(process: i32) -> io::Result<Duration> {
    if Pid::from_raw(process).is_none() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the pointer is to a live clockid_t.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{CpuSample, Memory, Stat};

    #[test]
    fn stat_is_read_behind_a_name_with_parentheses_and_spaces() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 55 66 0 0 20 0 1 0 100 200 300";
        let stat = Stat::parse(text).expect("a well-formed line");
        assert_eq!((stat.parent, stat.user_ticks, stat.system_ticks), (7, 55, 66));
        assert!(Stat::parse("42 (a) S 7").is_none());
        assert!(Stat::parse("").is_none());
    }

    #[test]
    fn this_process_has_cpu_time_that_grows_and_memory() {
        let me = std::process::id().cast_signed();
        let before = CpuSample::of_tree(me).expect("own CPU time");
        let mut sum = 0_u64;
        while CpuSample::of_tree(me).expect("own CPU time").total <= before.total {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(before.processes.contains(&me));
        let memory = Memory::of_tree(me).expect("own memory");
        assert!(memory.resident_kib > 100 && memory.peak_kib >= 100, "{memory:?}");
    }
}
