//! The loop of a target.

use nanozk_tests::heap;
use nanozk_tests::mutate::{self, setting};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Files kept beside the ones given, because they fail in a way of their own.
const MOST_KEPT: usize = 400;

/// Longest mutant as a multiple of the longest file given.
const GROWTH: usize = 3;

/// Longest time for one file.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a mutant is made from a file, all files, and the words.
type Mutate = fn(&mut ChaCha20Rng, &[u8], &[Vec<u8>], &[&[u8]]) -> Vec<u8>;

/// A reader under test.
pub struct Target<'a> {
    /// Name for reports and files.
    pub name: &'static str,
    /// Heap bytes allowed per byte of the file.
    pub factor: usize,
    /// Heap bytes allowed whatever the file is.
    pub base: usize,
    /// Texts that mean something to the reader.
    pub words: &'a [&'a [u8]],
    /// Real files.
    pub corpus: Vec<Vec<u8>>,
    /// How its files are mutated.
    pub mutate: Mutate,
}

/// Where the case at work stands.
fn case_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.case"))
}

/// What earlier runs found of this target: files `fuzz/found/TARGET-WHAT`.
fn found(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/found");
    let entries = std::fs::read_dir(folder).expect("the folder of findings");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.file_name().is_some_and(|f| f.to_string_lossy().starts_with(&format!("{name}-"))));
    paths.sort();
    paths.into_iter().map(|p| std::fs::read(p).expect("a finding")).collect()
}

/// Ends the process when one file takes longer than [`PATIENCE`].
fn watch(name: &'static str, since: &'static AtomicU64, start: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = since.load(Relaxed);
            if began == u64::MAX {
                return;
            }
            if start.elapsed().saturating_sub(Duration::from_millis(began)) > PATIENCE {
                eprintln!("fuzz {name}: no answer within {PATIENCE:?}: {}", case_file(name).display());
                std::process::abort();
            }
        }
    });
}

/// The outcome without names and numbers.
fn kind(outcome: &str) -> String {
    let plain: String = outcome.chars().filter(|c| c.is_ascii() && !c.is_ascii_digit()).collect();
    let unquoted: String = plain.split(['"', '`']).step_by(2).collect();
    unquoted.chars().take(160).collect()
}

/// Waits for the other tests of this file: the heap is counted for the whole process.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file over its older content, which is much faster than making it anew.
pub fn overwrite(path: &Path, bytes: &[u8]) {
    let open = std::fs::File::options().write(true).create(true).truncate(false).open(path);
    let written = open.and_then(|mut file| {
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    });
    written.expect("a directory that can be written");
}

impl Target<'_> {
    /// Runs `read` on mutants for the time asked for; `read` returns what the reader said.
    pub fn run(self, read: impl Fn(&[u8]) -> String) {
        let time = Duration::from_secs(setting("NANOZK_FUZZ_SECONDS", 3));
        let mut rng = ChaCha20Rng::seed_from_u64(setting("NANOZK_FUZZ_SEED", 1));
        let longest = GROWTH * self.corpus.iter().map(Vec::len).max().expect("a corpus");
        let mut files = [self.corpus.clone(), found(self.name)].concat();
        let mut kinds = BTreeSet::new();
        let (start, since): (_, &'static AtomicU64) = (Instant::now(), Box::leak(Box::new(AtomicU64::new(0))));
        watch(self.name, since, start);
        for file in &files {
            since.store(start.elapsed().as_millis() as u64, Relaxed);
            kinds.insert(kind(&self.one(file, &read)));
        }
        let (mut tried, mut slowest) = (0u64, Duration::ZERO);
        let end = start.elapsed() + time;
        while start.elapsed() < end {
            let file = &files[mutate::below(&mut rng, files.len())];
            let mut mutant = (self.mutate)(&mut rng, file, &files, self.words);
            mutant.truncate(longest);
            let began = start.elapsed();
            since.store(began.as_millis() as u64, Relaxed);
            let outcome = kind(&self.one(&mutant, &read));
            slowest = slowest.max(start.elapsed() - began);
            tried += 1;
            if kinds.insert(outcome) && files.len() < MOST_KEPT {
                files.push(mutant);
            }
        }
        since.store(u64::MAX, Relaxed);
        assert!(tried > 0);
        println!(
            "fuzz {}: {tried} files in {:.0} s, {} outcomes, slowest {slowest:.1?}",
            self.name,
            time.as_secs_f64(),
            kinds.len()
        );
    }

    /// Reads one file; a panic or too much memory fails the test.
    fn one(&self, file: &[u8], read: &impl Fn(&[u8]) -> String) -> String {
        let case = case_file(self.name);
        overwrite(&case, file);
        let before = heap::reset();
        let outcome = catch_unwind(AssertUnwindSafe(|| read(file)));
        let used = heap::peak().saturating_sub(before);
        let allowed = self.factor * file.len() + self.base;
        let kept = case.with_extension("found");
        if outcome.is_err() || used > allowed {
            std::fs::copy(&case, &kept).expect("the target directory is writable");
        }
        let outcome = outcome.unwrap_or_else(|_| panic!("fuzz {}: the reader panicked: {}", self.name, kept.display()));
        assert!(
            used <= allowed,
            "fuzz {}: {used} bytes of memory for a file of {} ({outcome}): {}",
            self.name,
            file.len(),
            kept.display()
        );
        outcome
    }
}
