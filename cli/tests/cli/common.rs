//! Running the built binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One run of the binary.
pub struct Run {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `nanozk` with `args` in `dir`.
pub fn nanozk(dir: &Path, args: &[&str]) -> Run {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_nanozk")).args(args).current_dir(dir).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8 output");
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Run {
    /// The run must have succeeded; returns its JSON object.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout.trim_end().lines().count(), 1, "one line: {}", self.stdout);
        serde_json::from_str(&self.stdout).expect("a JSON object")
    }

    /// The run must have failed with code 1 and one `error: cause; way out` line that contains all of `parts`.
    pub fn fails_with(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.starts_with("error: ") && self.stderr.contains("; "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "'{part}' is missing in: {}", self.stderr);
        }
    }
}

/// A file or directory of the workspace.
pub fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A bundled model's file as an argument.
pub fn bundled(path: &str) -> String {
    let path = workspace("onnx-models").join(path);
    path.canonicalize().expect("bundled model").display().to_string()
}

/// Files of a directory by name, without hidden ones.
pub fn listing(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("lists");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
