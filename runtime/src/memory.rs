//! Memory of this process and machine.

/// Peak resident memory of this process in bytes, where the system tells (`VmHWM`).
pub fn peak() -> Option<u64> {
    kib("/proc/self/status", "VmHWM:")
}

/// Memory that can be had without swapping, in bytes, where the system tells (`MemAvailable`).
pub fn available() -> Option<u64> {
    kib("/proc/meminfo", "MemAvailable:")
}

fn kib(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|k| k * 1024)
}

/// Bytes in megabytes (10^6).
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_system_tells() {
        let peak = super::peak().expect("VmHWM");
        assert!(peak > 100_000 && super::available().is_some_and(|a| a > 0), "{peak}");
    }
}
