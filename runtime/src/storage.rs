//! Files: bounded reads, atomic writes, and the layout of a key directory.

use crate::{Error, Result};
use nanozk_plan::format::{self, Kind};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Largest file that is read whole, in bytes.
pub const MAX_FILE: u64 = 8 << 30;

/// How the names of unfinished files begin.
pub const TEMPORARY: &str = ".nanozk-";

/// Name of the file that a process holds while it works in a directory.
pub const LOCK: &str = "lock";

/// Opens a file to read; its length is with it.
///
/// # Errors
/// There is no such file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let meta = file.metadata().map_err(Error::io(path))?;
    if meta.is_dir() {
        return Err(Error::refused(format!("{}: is a directory", path.display()), "name a file"));
    }
    Ok((file, meta.len()))
}

/// Reads a file of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::refused(format!("{}: larger than 8 GiB", path.display()), "name another file"));
    }
    Ok(bytes)
}

/// Reads and decodes a nanozk file.
///
/// # Errors
/// The file cannot be read, or is not of this kind.
pub fn load<T: DeserializeOwned>(kind: Kind, path: &Path) -> Result<T> {
    format::decode(kind, &read(path)?).map_err(Error::format(path))
}

/// Encodes and atomically writes a nanozk file.
///
/// # Errors
/// The file cannot be written.
pub fn save<T: Serialize>(kind: Kind, path: &Path, secrecy: Secrecy, value: &T) -> Result<()> {
    write_atomic(path, secrecy, &format::encode(kind, value).map_err(Error::format(path))?)
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// As the user's umask says.
    Open,
    /// Only the user.
    Secret,
}

/// As [`save`], unless `path` exists: then that file stays, and the result is `false`. Of any number of processes, on any
/// number of machines, one gets `true`.
///
/// # Errors
/// The file cannot be written.
pub fn save_new<T: Serialize>(kind: Kind, path: &Path, secrecy: Secrecy, value: &T) -> Result<bool> {
    write_new(path, secrecy, &format::encode(kind, value).map_err(Error::format(path))?)
}

/// As [`write_atomic`], unless `path` exists: then that file stays, and the result is `false`.
///
/// # Errors
/// The file cannot be written.
pub fn write_new(path: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<bool> {
    let file = written(path, secrecy, |file| file.write_all(bytes))?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            sync_dir(parent(path));
            Ok(true)
        }
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io(path)(e.error)),
    }
}

/// Writes `path` whole or not at all: a temporary file in the same directory, synced, then renamed.
///
/// # Errors
/// The file cannot be written.
pub fn write_atomic(path: &Path, secrecy: Secrecy, bytes: &[u8]) -> Result<()> {
    write_with(path, secrecy, |file| file.write_all(bytes))
}

/// As [`write_atomic`], with the content produced by `write`.
///
/// # Errors
/// The file cannot be written.
pub fn write_with(path: &Path, secrecy: Secrecy, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let mut batch = Batch::default();
    batch.add(path, secrecy, write)?;
    batch.commit()
}

/// Files that belong together: the first takes its name only when the last is written, so that a full disk changes none.
#[derive(Debug, Default)]
pub struct Batch(Vec<(tempfile::NamedTempFile, PathBuf)>);

impl Batch {
    /// Writes the content of `path` under another name and syncs it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(
        &mut self,
        path: &Path,
        secrecy: Secrecy,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<()> {
        self.0.push((written(path, secrecy, write)?, path.into()));
        Ok(())
    }

    /// Gives the files their names, in the order in which they were added.
    ///
    /// # Errors
    /// A file cannot be put in its place.
    pub fn commit(self) -> Result<()> {
        for (file, path) in self.0 {
            file.persist(&path).map_err(|e| Error::io(&path)(e.error))?;
            sync_dir(parent(&path));
        }
        Ok(())
    }
}

/// A file with the content of `path`, synced, under another name in the same directory.
fn written(
    path: &Path,
    secrecy: Secrecy,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<tempfile::NamedTempFile> {
    let dir = parent(path);
    let mut file = temporary(secrecy).tempfile_in(dir).map_err(Error::io(dir))?;
    write(file.as_file_mut()).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    Ok(file)
}

/// A new name lasts only once its directory is on disk; not every file system can sync a directory.
fn sync_dir(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

/// A directory that only the user may enter, which takes its name when all of it is written. Removed when it is dropped
/// before.
pub struct NewDir(tempfile::TempDir);

impl NewDir {
    /// A directory that will be `path`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn beside(path: &Path) -> Result<Self> {
        let dir = parent(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o700));
        }
        builder.tempdir_in(dir).map(NewDir).map_err(Error::io(dir))
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives it its name, which must not be taken.
    ///
    /// # Errors
    /// The directory cannot be put in its place.
    pub fn name(self, path: &Path) -> Result<()> {
        std::fs::rename(self.0.path(), path).map_err(Error::io(path))?;
        let _ = self.0.keep();
        sync_dir(parent(path));
        Ok(())
    }
}

/// Takes a directory for this process, until the result is dropped.
///
/// # Errors
/// When another process holds it.
pub fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(e)) => Err(Error::io(&path)(e)),
        Err(TryLockError::WouldBlock) => Err(Error::refused(
            format!("{}: another process is proving into it", dir.display()),
            "wait for it or choose another output",
        )),
    }
}

/// Temporary files are secret unless asked otherwise.
fn temporary(secrecy: Secrecy) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    if secrecy == Secrecy::Open {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Fails early when `path` cannot be written: before minutes of work, not after.
///
/// # Errors
/// Nothing can be written there.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::refused(format!("{}: is a directory", path.display()), "name a file with -o"));
    }
    let dir = parent(path);
    std::fs::metadata(dir).map_err(Error::io(dir))?;
    tempfile::NamedTempFile::new_in(dir).map(drop).map_err(Error::io(dir))
}

/// Creates `dir` (and its parents) and checks that files can be made in it.
///
/// # Errors
/// The directory cannot be made.
pub fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    tempfile::NamedTempFile::new_in(dir).map(drop).map_err(Error::io(dir))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// The files that `setup` writes.
#[derive(Clone, Debug)]
pub struct KeyDir(PathBuf);

impl KeyDir {
    /// The layout below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        KeyDir(dir.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What a verifier needs; the one file to publish.
    pub fn verifier(&self) -> PathBuf {
        self.0.join("verifier.nanozk")
    }

    /// What the prover needs: model, masks, and the model id. Hidden.
    pub fn prover(&self) -> PathBuf {
        self.0.join("prover.nanozk")
    }

    /// The SRS that the keys were made with.
    pub fn srs(&self) -> PathBuf {
        self.0.join("srs.bin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a");
        write_atomic(&path, Secrecy::Open, b"old").expect("writes");
        let failed = write_with(&path, Secrecy::Open, |f| {
            f.write_all(b"half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        let message = failed.expect_err("write fails").to_string();
        assert!(message.contains("free some space"), "{message}");
        assert_eq!(std::fs::read(&path).expect("reads"), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1, "no temporary file stays");
    }

    #[test]
    fn files_of_a_batch_appear_together() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let mut batch = Batch::default();
        batch.add(&a, Secrecy::Open, |f| f.write_all(b"a")).expect("writes");
        assert!(!a.exists());
        batch.add(&b, Secrecy::Secret, |f| f.write_all(b"b")).expect("writes");
        batch.commit().expect("renames");
        assert!(a.exists() && b.exists());
        let mut batch = Batch::default();
        batch.add(&a, Secrecy::Open, |f| f.write_all(b"new")).expect("writes");
        batch.add(&b, Secrecy::Open, |_| Err(std::io::ErrorKind::StorageFull.into())).expect_err("fails");
        drop(batch);
        assert_eq!(std::fs::read(&a).expect("reads"), b"a");
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 2, "no temporary file stays");
    }

    #[test]
    fn unwritable_places_are_named() {
        let message = check_writable(Path::new("no/such/dir/x")).expect_err("refused").to_string();
        assert!(message.starts_with("no/such/dir: ") && message.contains("; check the path"), "{message}");
    }

    #[test]
    fn round_trip_and_kind() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a");
        save(Kind::Model, &path, Secrecy::Secret, &7u32).expect("writes");
        assert_eq!(load::<u32>(Kind::Model, &path).expect("reads"), 7);
        let message = load::<u32>(Kind::Proof, &path).expect_err("refused").to_string();
        assert!(message.contains("a compiled model, not a proof"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_the_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a");
        write_atomic(&path, Secrecy::Secret, b"seed").expect("writes");
        assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    }
}
