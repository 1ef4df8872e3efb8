//! Where and with what was measured.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::process::root;

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine, the date, and the versions that Cargo.lock and the compiler tell.
pub(crate) fn facts() -> Value {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    json!({
        "date": date(),
        "machine": {
            "cpu": cpu(),
            "cores": cores(),
            "architecture": std::env::consts::ARCH,
            "system": std::env::consts::OS,
        },
        "versions": {
            "rustc": output(Command::new(compiler).arg("--version")),
            "burn": locked(&lock, "burn"),
            "burn-autograd": locked(&lock, "burn-autograd"),
        },
    })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu() -> Option<String> {
    let info = Path::new("/proc/cpuinfo");
    if info.exists() {
        return model(&std::fs::read_to_string(info).ok()?);
    }
    output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]))
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

/// The version of a package in a Cargo.lock.
fn locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next()?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').to_owned())
}

/// Today, as 2026-01-31, in UTC.
fn date() -> Option<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(day(seconds / 86_400))
}

/// The date of a day that is counted from 1970-01-01. The years begin with March, so that the leap day
/// is the last one of its year.
fn day(days: u64) -> String {
    const PER_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, rest) = (days / PER_400_YEARS, days % PER_400_YEARS);
    let year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
    let of_year = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::{day, locked, model};

    #[test]
    fn days_are_dates() {
        // Of `date -u -d @$((86400 * days)) +%F`.
        for (days, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
            (20_453, "2025-12-31"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(day(days), date);
        }
    }

    #[test]
    fn versions_are_those_of_the_package_itself() {
        let lock = "[[package]]\nname = \"burn-core\"\nversion = \"9.9.9\"\n\n\
                    [[package]]\nname = \"burn\"\nversion = \"0.22.1\"\nsource = \"registry\"\n";
        assert_eq!(locked(lock, "burn").as_deref(), Some("0.22.1"));
        assert_eq!(locked(lock, "torch"), None);
    }

    #[test]
    fn the_model_is_what_stands_after_the_colon() {
        let info = "vendor_id\t: AuthenticAMD\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n";
        assert_eq!(model(info).as_deref(), Some("AMD EPYC"));
        assert_eq!(model("processor : 0\n"), None);
    }
}
