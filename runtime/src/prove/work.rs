//! The work directory of an unfinished proof.
//!
//! A seed belongs to one statement (model, nonce, input). Another statement under the same directory starts over with a
//! fresh seed: masks that were used for one statement must never mask another. One process at a time holds the directory,
//! so no layer is proven twice under the same masks of its tensors by two of them.

use crate::keys::Seed;
use crate::setup::secret_seed;
use crate::storage::{self, LOCK, Secrecy, TEMPORARY};
use crate::{Error, Result};
use nanozk_plan::format::Kind;
use nanozk_proof::bundle::LayerProof;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
struct State {
    fingerprint: [u8; 32],
    seed: Seed,
}

/// `OUTPUT.work`, removed when the proof is written.
pub struct WorkDir {
    dir: PathBuf,
    seed: Seed,
    /// Released when it is dropped.
    _lock: File,
}

impl WorkDir {
    /// Continues the work on the statement `fingerprint` for `out`, or begins it.
    ///
    /// # Errors
    /// When another process holds the directory, or it holds files that are not of a proof.
    pub fn open(out: &Path, fingerprint: [u8; 32]) -> Result<Self> {
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".work");
        let dir = out.with_file_name(name);
        storage::make_dir(&dir)?;
        own_files(&dir)?;
        let lock = storage::lock(&dir)?;
        let state = dir.join("state");
        match storage::load::<State>(Kind::Work, &state) {
            Ok(found) if found.fingerprint == fingerprint => return Ok(WorkDir { dir, seed: found.seed, _lock: lock }),
            _ => remove(own_files(&dir)?.into_iter().filter(|file| !file.ends_with(LOCK)))?,
        }
        let seed = secret_seed()?;
        storage::save(Kind::Work, &state, Secrecy::Secret, &State { fingerprint, seed })?;
        Ok(WorkDir { dir, seed, _lock: lock })
    }

    /// Seed of all masks of this statement.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    fn layer(&self, index: usize) -> PathBuf {
        self.dir.join(format!("layer-{index}"))
    }

    /// The proof of layer `index`, when it was finished before. A damaged file counts as unfinished.
    pub fn finished(&self, index: usize) -> Option<LayerProof> {
        let proof: LayerProof = storage::load(Kind::Work, &self.layer(index)).ok()?;
        (proof.index as usize == index).then_some(proof)
    }

    /// Stores the proof of layer `index`.
    pub fn store(&self, index: usize, proof: &LayerProof) -> Result<()> {
        storage::save(Kind::Work, &self.layer(index), Secrecy::Secret, proof)
    }

    /// Removes the directory.
    pub fn discard(&mut self) {
        // What cannot be removed now is cleared by the next run.
        let _ = own_files(&self.dir)
            .and_then(remove)
            .and_then(|()| std::fs::remove_dir(&self.dir).map_err(Error::io(&self.dir)));
    }
}

/// The files of a work directory; one that holds anything else is refused.
fn own_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let ours =
        |name: &str| name == "state" || name == LOCK || name.starts_with("layer-") || name.starts_with(TEMPORARY);
    let entries = std::fs::read_dir(dir).map_err(Error::io(dir))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(dir))?;
        if !ours(&entry.file_name().to_string_lossy()) {
            let what = format!("{}: holds files that are not of a proof", dir.display());
            return Err(Error::refused(what, "choose another output or remove the directory"));
        }
        files.push(entry.path());
    }
    Ok(files)
}

fn remove(files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    files.into_iter().try_for_each(|file| std::fs::remove_file(&file).map_err(Error::io(&file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(index: u32) -> LayerProof {
        LayerProof { index, bytes: vec![1, 2, 3] }
    }

    /// An output with the proof of one layer of the statement `[1; 32]` in its work directory.
    fn begun(index: u32) -> (tempfile::TempDir, PathBuf, WorkDir) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let out = dir.path().join("p.nanozk");
        let work = WorkDir::open(&out, [1; 32]).expect("opens");
        work.store(index as usize, &proof(index)).expect("stores");
        (dir, out, work)
    }

    #[test]
    fn the_same_statement_goes_on() {
        let (dir, out, first) = begun(2);
        let seed = *first.seed();
        drop(first);
        let mut again = WorkDir::open(&out, [1; 32]).expect("opens");
        assert_eq!(*again.seed(), seed);
        assert_eq!(again.finished(2), Some(proof(2)));
        assert_eq!(again.finished(1), None);
        again.discard();
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 0);
    }

    #[test]
    fn another_statement_has_another_seed_and_no_old_proofs() {
        let (_dir, out, first) = begun(0);
        let seed = *first.seed();
        drop(first);
        let second = WorkDir::open(&out, [2; 32]).expect("opens");
        assert_ne!(*second.seed(), seed);
        assert_eq!(second.finished(0), None);
    }

    #[test]
    fn a_lost_state_begins_again() {
        let (dir, out, first) = begun(0);
        let seed = *first.seed();
        drop(first);
        std::fs::write(dir.path().join("p.nanozk.work/state"), "damaged").expect("writes");
        let again = WorkDir::open(&out, [1; 32]).expect("opens");
        assert_ne!(*again.seed(), seed);
        assert_eq!(again.finished(0), None, "a proof under another seed");
    }

    #[test]
    fn one_process_at_a_time() {
        let (_dir, out, first) = begun(0);
        for fingerprint in [[1; 32], [2; 32]] {
            let error = WorkDir::open(&out, fingerprint).err().expect("refused").to_string();
            assert!(error.contains("another process"), "{error}");
        }
        assert_eq!(first.finished(0), Some(proof(0)), "nothing was cleared");
        drop(first);
        assert!(WorkDir::open(&out, [1; 32]).is_ok());
    }

    #[test]
    fn foreign_files_are_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let out = dir.path().join("p.nanozk");
        std::fs::create_dir(dir.path().join("p.nanozk.work")).expect("makes");
        std::fs::write(dir.path().join("p.nanozk.work/thesis.tex"), "x").expect("writes");
        assert!(WorkDir::open(&out, [1; 32]).is_err());
        assert!(dir.path().join("p.nanozk.work/thesis.tex").exists());
        assert_eq!(std::fs::read_dir(dir.path().join("p.nanozk.work")).expect("lists").count(), 1);
    }
}
