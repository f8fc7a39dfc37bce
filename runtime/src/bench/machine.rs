//! What the numbers were measured on.

use serde::Serialize;

/// Facts about this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Name of the processor, where the system tells.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Installed memory in gigabytes (10^9), where the system tells.
    pub memory_gb: Option<f64>,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|l| l.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let memory = field("/proc/meminfo", "MemTotal")
            .and_then(|v| v.strip_suffix("kB").and_then(|kib| kib.trim().parse::<f64>().ok()));
        Machine {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: memory.map(|kib| kib * 1024.0 / 1e9),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cpu = self.cpu.as_deref().unwrap_or("unknown processor");
        write!(f, "{cpu}, {} cores", self.cores)?;
        if let Some(memory) = self.memory_gb {
            write!(f, ", {memory:.1} GB")?;
        }
        write!(f, ", {}", self.system)
    }
}
