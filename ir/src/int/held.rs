//! Weights that stay in their file until a layer is computed or proven.

use super::{Weights, packed};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Why weights could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// The operating system refused.
    #[error("{}: {cause}; check the file and the disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// Somebody wrote to the file after it was opened.
    #[error("{}: changed while it was in use; run the command again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are not those of weights.
    #[error("{}: weights are packed in another way; compile the model again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Weights of a layer: at hand, or to be read.
pub trait Known {
    /// How many weights each matrix has.
    fn sizes(&self) -> Vec<u64>;

    /// The weights.
    ///
    /// # Errors
    /// Those of the file that they are in.
    fn get(&self) -> Result<Cow<'_, Weights>, HeldError>;
}

impl Known for Weights {
    fn sizes(&self) -> Vec<u64> {
        self.iter().map(|matrix| matrix.len() as u64).collect()
    }

    fn get(&self) -> Result<Cow<'_, Weights>, HeldError> {
        Ok(Cow::Borrowed(self))
    }
}

/// Where in its file a matrix is, as [`packed`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of weights.
    pub weights: u64,
    /// First byte.
    pub at: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// Weights of a layer in a file.
#[derive(Clone, Debug)]
pub struct Held {
    file: Arc<WeightFile>,
    matrices: Vec<Place>,
}

impl Held {
    /// Matrices of `file`.
    pub fn new(file: Arc<WeightFile>, matrices: Vec<Place>) -> Self {
        Held { file, matrices }
    }
}

impl Known for Held {
    fn sizes(&self) -> Vec<u64> {
        self.matrices.iter().map(|place| place.weights).collect()
    }

    fn get(&self) -> Result<Cow<'_, Weights>, HeldError> {
        let matrix = |place: &Place| {
            let bytes = self.file.read(place)?;
            packed::unpack(&bytes, place.weights).ok_or_else(|| HeldError::Malformed { path: self.file.path.clone() })
        };
        self.matrices.par_iter().map(matrix).collect::<Result<_, _>>().map(Cow::Owned)
    }
}

/// A file that weights are read from while it is open.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    file: Mutex<File>,
    state: State,
}

/// Length and time of the last change, by which a change is seen.
type State = (u64, Option<SystemTime>);

impl WeightFile {
    /// `file` as it is now; `path` is its name for errors.
    ///
    /// # Errors
    /// The system does not tell its length.
    pub fn new(path: &Path, file: File) -> io::Result<Self> {
        Ok(WeightFile { path: path.into(), state: state(&file)?, file: Mutex::new(file) })
    }

    fn read(&self, place: &Place) -> Result<Vec<u8>, HeldError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = || {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(place.at))?;
            Read::by_ref(&mut *file).take(place.bytes).read_to_end(&mut bytes)?;
            Ok((bytes, state(&file)?))
        };
        match read() {
            Err(cause) => Err(HeldError::Io { path: self.path.clone(), cause }),
            Ok((bytes, state)) if state == self.state && bytes.len() as u64 == place.bytes => Ok(bytes),
            Ok(_) => Err(HeldError::Changed { path: self.path.clone() }),
        }
    }
}

fn state(file: &File) -> io::Result<State> {
    let meta = file.metadata()?;
    Ok((meta.len(), meta.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn held(dir: &Path, bytes: &[u8], weights: u64) -> Held {
        let path = dir.join("weights");
        std::fs::write(&path, bytes).unwrap();
        let file = WeightFile::new(&path, File::open(&path).unwrap()).unwrap();
        Held::new(Arc::new(file), vec![Place { weights, at: 1, bytes: bytes.len() as u64 - 1 }])
    }

    #[test]
    fn weights_are_read_when_they_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let weights: Vec<i32> = (0..300).map(|i| i * i - 70).collect();
        let mut bytes = vec![7];
        bytes.extend(packed::pack(weights.iter().map(|&w| w.into())));
        let all = held(dir.path(), &bytes, 300);
        assert_eq!((all.sizes(), all.get().unwrap().into_owned()), (vec![300], vec![weights]));
        for wrong in [299, 301, u64::MAX] {
            let error = held(dir.path(), &bytes, wrong).get().unwrap_err();
            assert!(matches!(error, HeldError::Malformed { .. }), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = [0].into_iter().chain(packed::pack((0..100).map(|i| i % 7))).collect();
        let cut = held(dir.path(), &bytes, 100);
        File::options().write(true).open(dir.path().join("weights")).unwrap().set_len(9).unwrap();
        assert!(matches!(cut.get(), Err(HeldError::Changed { .. })));
        let longer = held(dir.path(), &bytes, 100);
        File::options().append(true).open(dir.path().join("weights")).unwrap().write_all(b"x").unwrap();
        let message = longer.get().unwrap_err().to_string();
        assert!(message.contains("weights: changed while it was in use; run"), "{message}");
        // A file that takes its name leaves it as it was.
        let replaced = held(dir.path(), &bytes, 100);
        std::fs::write(dir.path().join("other"), b"other").unwrap();
        std::fs::rename(dir.path().join("other"), dir.path().join("weights")).unwrap();
        assert_eq!(replaced.get().unwrap()[0][..3], [0, 1, 2]);
    }
}
