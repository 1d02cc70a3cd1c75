//! Under which conditions figures came about.

use super::Options;
use super::programs::Programs;
use serde::Serialize;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a reader must know to judge the figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conditions {
    /// Day of the run, UTC.
    pub(crate) date: String,
    /// Model and number of CPUs.
    pub(crate) cpu: String,
    /// Operating system's release.
    pub(crate) kernel: String,
    /// Load average before the first round: what others do on this machine.
    pub(crate) load_average: String,
    /// TCP congestion control.
    pub(crate) congestion_control: String,
    /// Each program with its version.
    pub(crate) programs: Vec<(String, String)>,
    /// Number of rounds, seconds of warm-up, seconds measured, busy connections, idle connections.
    pub(crate) extent: String,
    /// Which cores did what.
    pub(crate) cores: String,
}

impl Conditions {
    /// Looks around. To be called before the first round.
    pub(crate) fn here(programs: &Programs, options: &Options) -> Self {
        let cpus = online_cpus();
        let model =
            line_value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".to_owned());
        Self {
            date: today(),
            cpu: format!("{model}, {cpus} CPUs"),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease")),
            load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            programs: programs
                .iter()
                .map(|(subject, program)| (subject.to_string(), program.version.clone()))
                .collect(),
            extent: format!(
                "{} rounds x {} s after {} s of warm-up, {} connections, {} idle ones",
                options.rounds,
                options.seconds,
                options.warm_up,
                options.connections,
                options.idle_connections
            ),
            cores: format!(
                "proxy on core {}, load and origin on core {}, loopback",
                options.proxy_core, options.load_core
            ),
        }
    }

    /// One line for each condition.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{}, {}", self.date, self.extent),
            format!("{}; {}", self.cpu, self.cores),
            format!(
                "{}, TCP congestion control {}, load average {} before the first round",
                self.kernel, self.congestion_control, self.load_average
            ),
        ];
        let programs: Vec<String> =
            self.programs.iter().map(|(name, version)| format!("{name}: {version}")).collect();
        lines.push(programs.join("; "));
        lines
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim_end().to_owned())
}

fn line_value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// CPUs of the machine; the parallelism of this process counts only the one it is pinned to.
fn online_cpus() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count()
}

fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil_date(seconds / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::civil_date;

    #[test]
    fn dates_come_out_right() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_779), (2026, 11, 22));
        assert_eq!(civil_date(20_818), (2026, 12, 31));
    }
}
