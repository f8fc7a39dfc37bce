//! Builds the tests of the copy and runs them one by one.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use wait4::Wait4;

/// Packages whose tests are run.
const PACKAGES: [&str; 8] = [
    "nanozk-ir",
    "nanozk-plan",
    "nanozk-layout",
    "nanozk-audit",
    "nanozk-proof",
    "nanozk-runtime",
    "nanozk-tests",
    "nanozk-cli",
];

/// Tests of `nanozk-tests` that say of any change that it is one, and those that take long for what they find or measure
/// time.
const LEFT_OUT: [&str; 4] = ["golden", "fuzz", "hostile", "orders"];

/// CPU time for all tests of one mutant. A test that takes longer by itself is not used.
const PATIENCE: Duration = Duration::from_secs(180);

/// Workers side by side.
const WORKERS: usize = 2;

/// One test of the copy.
#[derive(Clone, Debug)]
pub struct Test {
    file: PathBuf,
    directory: PathBuf,
    /// The file's name and the test's.
    pub name: String,
    exact: String,
    /// CPU time without a mutant: other work on the machine changes it little.
    pub took: Duration,
    /// The mutants that it meets.
    pub meets: BTreeSet<String>,
}

/// Builds all tests with the mutants in them.
pub fn build(copy: &Path, target: &Path) -> Vec<Test> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(copy).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    cargo.args(["test", "--release", "--no-run", "--message-format=json-render-diagnostics"]);
    cargo.args(["--features", "nanozk-mutants/on", "-p", "nanozk-mutants"]);
    let output = cargo.args(PACKAGES.iter().flat_map(|package| ["-p", package])).output().unwrap();
    assert!(output.status.success(), "the copy in {} does not build", copy.display());
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = Vec::new();
    for message in messages.filter(|m| m["profile"]["test"] == true && m["executable"].is_string()) {
        let target = message["target"]["name"].as_str().unwrap();
        let file = PathBuf::from(message["executable"].as_str().unwrap());
        let directory = Path::new(message["manifest_path"].as_str().unwrap()).parent().unwrap().to_path_buf();
        if directory.ends_with("mutants") || directory.ends_with("tests") && LEFT_OUT.contains(&target) {
            continue;
        }
        let list = |more: &[&str]| {
            let args = [&["--list", "--format", "terse"], more].concat();
            let output = Command::new(&file).current_dir(&directory).args(args).output().unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            output.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_string())).collect::<Vec<_>>()
        };
        let ignored = list(&["--ignored"]);
        for exact in list(&[]).into_iter().filter(|name| !ignored.contains(name)) {
            let name = format!("{target}: {exact}");
            let (took, meets) = (Duration::ZERO, BTreeSet::new());
            tests.push(Test { file: file.clone(), directory: directory.clone(), name, exact, took, meets });
        }
    }
    tests
}

impl Test {
    /// Whether it reads a verifier file kept in the repository, which has one plan and one proof.
    fn is_of_kept_files(&self) -> bool {
        self.name.starts_with("kept_")
    }

    /// Whether it passes with a mutant at work within so much CPU time, and how much it took.
    fn passes(&self, mutant: &str, seen: Option<&Path>, limit: Duration) -> (bool, Duration) {
        let mut command = Command::new("sh");
        // A test that waits for ever takes no CPU time.
        command.args(["-c", "ulimit -t $0 && exec timeout 1800 \"$@\"", &limit.as_secs().to_string()]);
        command.arg(&self.file).args(["--exact", &self.exact]).current_dir(&self.directory);
        // Snapshots of plans and costs would notice any change, and are taken again when one is meant.
        command.env("INSTA_FORCE_PASS", "1").env("INSTA_UPDATE", "no").env("NANOZK_MUTANT", mutant);
        if let Some(seen) = seen {
            command.env("NANOZK_MUTANTS_SEEN", seen);
        }
        let used = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap().wait4().unwrap();
        (used.status.success(), used.rusage.utime + used.rusage.stime)
    }

    /// Runs without a mutant, unless it has not been built since; what it meets.
    fn survey(&mut self, directory: &Path) {
        let seen = directory.join(self.name.replace([':', ' '], "-"));
        let time = seen.with_extension("time");
        if modified(&time) < modified(&self.file) {
            let _ = fs::remove_file(&seen);
            let (passes, took) = self.passes("", Some(&seen), PATIENCE);
            let took = if passes { took } else { Duration::MAX };
            fs::write(&time, took.as_millis().min(u64::MAX.into()).to_string()).unwrap();
        }
        self.took = Duration::from_millis(fs::read_to_string(&time).unwrap().parse().unwrap());
        let met = fs::read_to_string(&seen).unwrap_or_default();
        self.meets = met.lines().map(String::from).collect();
    }
}

/// Runs each test once without a mutant; the quickest first.
pub fn survey(tests: Vec<Test>, directory: &Path) -> Vec<Test> {
    fs::create_dir_all(directory).unwrap();
    let mut tests = side_by_side(tests, |mut test: Test| {
        test.survey(directory);
        test
    });
    let (used, left): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|test| test.took <= PATIENCE);
    let left: Vec<String> = left.into_iter().map(|test| test.name).collect();
    println!("{} tests; not used, for they take long or fail beside what records the mutants: {left:?}", used.len());
    tests = used;
    tests.sort_by_key(|test| test.took);
    tests
}

/// The first test that notices each mutant. Those come first that noticed others of the same file, given by `file`, and
/// then those of its package. Tests of kept files count where `reads_kept_files` says so: they notice any change of what is
/// derived. Verdicts are kept in the directory `kept`, so that an interrupted run goes on where it stopped.
pub fn notice<'f>(
    mutants: Vec<String>,
    tests: &[Test],
    file: impl Fn(&str) -> &'f str + Sync,
    reads_kept_files: impl Fn(&str) -> bool + Sync,
    kept: &Path,
) -> BTreeMap<String, Option<String>> {
    let earlier = Mutex::new(BTreeMap::<&str, Vec<&str>>::new());
    let kept = Kept::open(kept, tests);
    let noticed = side_by_side(mutants, |mutant: String| {
        if let Some(by) = kept.read(&mutant) {
            return (mutant, Some(by).filter(|by| !by.is_empty()));
        }
        let mut left = PATIENCE;
        let file = file(&mutant);
        let known = earlier.lock().unwrap().get(file).cloned().unwrap_or_default();
        let counts =
            |test: &&Test| test.meets.contains(&mutant) && (reads_kept_files(&mutant) || !test.is_of_kept_files());
        let mut meeting: Vec<&Test> = tests.iter().filter(counts).collect();
        meeting.sort_by_key(|test| {
            let before = known.iter().rev().position(|name| *name == test.name).unwrap_or(usize::MAX);
            (before, !file.split('/').next().is_some_and(|package| test.directory.ends_with(package)))
        });
        for test in meeting {
            if test.took > left {
                continue;
            }
            left -= test.took;
            if !test.passes(&mutant, None, 10 * test.took + Duration::from_secs(20)).0 {
                println!("{mutant}: {}", test.name);
                kept.write(&mutant, &test.name);
                let mut earlier = earlier.lock().unwrap();
                let earlier = earlier.entry(file).or_default();
                earlier.retain(|name| *name != test.name);
                earlier.push(&test.name);
                return (mutant, Some(test.name.clone()));
            }
        }
        println!("{mutant}: SURVIVES");
        kept.write(&mutant, "");
        (mutant, None)
    });
    noticed.into_iter().collect()
}

/// Verdicts on mutants: one that a test noticed until that test is built again, the others until any is.
struct Kept {
    directory: PathBuf,
    built: BTreeMap<String, Option<SystemTime>>,
}

impl Kept {
    fn open(directory: &Path, tests: &[Test]) -> Self {
        fs::create_dir_all(directory).unwrap();
        let built = tests.iter().map(|test| (test.name.clone(), modified(&test.file))).collect();
        Kept { directory: directory.into(), built }
    }

    /// The test that noticed the mutant; no name where none did.
    fn read(&self, mutant: &str) -> Option<String> {
        let file = self.directory.join(mutant);
        let by = fs::read_to_string(&file).ok()?;
        let built = if by.is_empty() { self.built.values().max() } else { self.built.get(&by) };
        (modified(&file) > *built?).then_some(by)
    }

    fn write(&self, mutant: &str, test: &str) {
        fs::write(self.directory.join(mutant), test).unwrap();
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// Does something with all items, a few at a time.
fn side_by_side<T: Send, U: Send>(items: Vec<T>, each: impl Fn(T) -> U + Sync) -> Vec<U> {
    let next = AtomicUsize::new(0);
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let done: Vec<Mutex<Option<U>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let item = item.lock().unwrap().take().unwrap();
                    *done[at].lock().unwrap() = Some(each(item));
                }
            });
        }
    });
    done.into_iter().map(|item| item.into_inner().unwrap().unwrap()).collect()
}
