//! Full disks: one line with cause and way out, and no output, whole or half.

use crate::common::{Run, bundled, listing, nanozk};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

/// Runs `script` with the binary and its arguments as `"$@"`.
fn shell(dir: &Path, wrap: &[&str], script: &str, args: &[&str]) -> Run {
    let mut command = Command::new(wrap[0]);
    command.args(&wrap[1..]).args(["-c", script, "sh", env!("CARGO_BIN_EXE_nanozk")]).args(args);
    let Output { status, stdout, stderr } = command.current_dir(dir).output().expect("a shell");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8 output");
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs the binary in a file system of `kb` kilobytes and returns what it left there; `None` where none can be mounted.
fn on_a_full_disk(dir: &Path, kb: u64, args: &[&str]) -> Option<(Run, Vec<String>)> {
    let disk = dir.join("disk");
    fs::create_dir_all(&disk).expect("makes");
    let script = format!(
        "mount -t tmpfs -o size={kb}k tmpfs disk || exit 77; cd disk; \"$@\"; code=$?; find . > ../left; exit $code"
    );
    let run = shell(dir, &["unshare", "--map-root-user", "--mount", "sh"], &script, args);
    if matches!(run.code, Some(77)) || !dir.join("left").exists() {
        println!("skipped: no file system can be mounted here: {}", run.stderr);
        return None;
    }
    let left = fs::read_to_string(dir.join("left")).expect("reads");
    fs::remove_file(dir.join("left")).expect("removes");
    let mut left: Vec<String> = left.lines().skip(1).map(str::to_owned).collect();
    left.sort();
    Some((run, left))
}

/// The files of a whole run, made on a disk with room, as models for sizes.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (model, input) = (bundled("block-d16-t16/network.onnx"), bundled("block-d16-t16/input.json"));
    nanozk(dir.path(), &["compile", &model, "--data", &input, "-o", "m.nanozk", "--json"]).json();
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    dir
}

#[test]
fn a_full_disk_leaves_nothing() {
    let dir = made();
    let (model, input) = (bundled("block-d16-t16/network.onnx"), bundled("block-d16-t16/input.json"));
    let size = |name: &str| fs::metadata(dir.path().join(name)).expect("metadata").len() / 1024;
    // The SRS and the prover file fit, the verifier file does not.
    let two_of_three = size("keys/srs.bin") + size("keys/prover.nanozk") + 2;
    let work = ["./p.nanozk.work", "./p.nanozk.work/lock", "./p.nanozk.work/state"];
    let cases: [(u64, &[&str], &[&str]); 7] = [
        (8, &["commit", "../keys", "--input", &input, "-o", "a.commit"], &[]),
        (8, &["jobs", "split", "../keys", "--input", &input, "-o", "run"], &[]),
        (8, &["compile", &model, "--data", &input, "-o", "m.nanozk"], &[]),
        (8, &["srs", "generate", "--k", "8", "-o", "srs.bin"], &[]),
        (8, &["setup", "../m.nanozk", "-o", "keys"], &[]),
        (two_of_three, &["setup", "../m.nanozk", "-o", "keys"], &[]),
        // The state of an interrupted proof stays, as after any other interruption.
        (4, &["prove", "../keys", "--input", &input, "-o", "p.nanozk"], &work),
    ];
    for (kb, args, expected) in cases {
        let Some((run, left)) = on_a_full_disk(dir.path(), kb, args) else { return };
        run.fails_with(&["No space left", "; free some space"]);
        assert_eq!(left, expected, "{args:?}");
    }
}

#[test]
fn a_limit_on_file_sizes_leaves_nothing() {
    let dir = made();
    let (model, input) = (bundled("block-d16-t16/network.onnx"), bundled("block-d16-t16/input.json"));
    let limited = |args: &[&str]| {
        // Without the trap the system would end the process before it can tell.
        let run = shell(dir.path(), &["sh"], "trap '' XFSZ; ulimit -f 2; exec \"$@\"", args);
        run.fails_with(&["File too large", "; raise the limit"]);
    };
    limited(&["compile", &model, "--data", &input, "-o", "n.nanozk"]);
    limited(&["srs", "generate", "--k", "8", "-o", "srs.bin"]);
    limited(&["setup", "m.nanozk", "-o", "other"]);
    limited(&["commit", "keys", "--input", &input, "-o", "a.commit"]);
    limited(&["jobs", "split", "keys", "--input", &input, "-o", "other"]);
    nanozk(dir.path(), &["jobs", "split", "keys", "--input", &input, "-o", "run", "--json"]).json();
    limited(&["jobs", "prove", "run", "--all"]);
    assert_eq!(fs::read_dir(dir.path().join("run/parts")).expect("lists").count(), 0);
    fs::remove_dir_all(dir.path().join("run")).expect("removes");
    limited(&["prove", "keys", "--input", &input, "-o", "p.nanozk"]);
    assert_eq!(listing(dir.path()), ["keys", "m.nanozk", "p.nanozk.work"]);
    assert_eq!(listing(&dir.path().join("p.nanozk.work")), ["lock", "state"]);
    // With room again the proof is made, and an old set of keys survives a setup that fails.
    let old = fs::read(dir.path().join("keys/verifier.nanozk")).expect("reads");
    limited(&["setup", "m.nanozk", "-o", "keys"]);
    assert_eq!(fs::read(dir.path().join("keys/verifier.nanozk")).expect("reads"), old);
    nanozk(dir.path(), &["prove", "keys", "--input", &input, "-o", "p.nanozk", "--json"]).json();
    assert_eq!(listing(dir.path()), ["keys", "m.nanozk", "p.nanozk"]);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let args = ["srs", "generate", "--k", "4", "-o", "srs.bin"];
    let run = Command::new(env!("CARGO_BIN_EXE_nanozk")).args(args).current_dir(dir.path()).stdout(full).output();
    let run = run.expect("the binary runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: standard output: No space left on device") && stderr.contains("; "), "{stderr}");
}
