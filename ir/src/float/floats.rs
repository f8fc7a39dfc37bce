//! The many numbers of an op: shared in memory, or left in a file until they are read.

use std::{
    borrow::Cow,
    fmt,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a number in a file.
const SIZE: usize = size_of::<f32>();

/// Bytes that are read from a file at a time.
const CHUNK: usize = 1 << 18;

/// Numbers in memory, whoever made them; a copy shares them.
#[derive(Clone)]
pub struct Shared(Arc<dyn AsRef<[f32]> + Send + Sync>);

impl Shared {
    /// The numbers of an owner of another type.
    pub fn new(owner: impl AsRef<[f32]> + Send + Sync + 'static) -> Self {
        Shared(Arc::new(owner))
    }
}

impl Deref for Shared {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} numbers]", self.len())
    }
}

impl From<Vec<f32>> for Shared {
    fn from(numbers: Vec<f32>) -> Self {
        Shared::new(numbers)
    }
}

impl From<Arc<Vec<f32>>> for Shared {
    fn from(numbers: Arc<Vec<f32>>) -> Self {
        Shared(numbers)
    }
}

/// The numbers of an op.
#[derive(Clone, Debug)]
pub struct Floats(Place);

/// Where numbers are.
#[derive(Clone, Debug)]
enum Place {
    Memory(Shared),
    /// From byte `at` of a file, little endian.
    File {
        file: Arc<Mutex<File>>,
        at: u64,
        len: usize,
    },
}

impl Floats {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Memory(numbers) => numbers.len(),
            Place::File { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers. Those in a file are in memory as long as the result.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> io::Result<Cow<'_, [f32]>> {
        let (file, at, len) = match &self.0 {
            Place::Memory(numbers) => return Ok(Cow::Borrowed(numbers)),
            Place::File { file, at, len } => (file, *at, *len),
        };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        let mut reader = BufReader::with_capacity(CHUNK, &mut *file);
        let (mut numbers, mut number) = (Vec::with_capacity(len), [0; SIZE]);
        for _ in 0..len {
            reader.read_exact(&mut number)?;
            numbers.push(f32::from_le_bytes(number));
        }
        Ok(Cow::Owned(numbers))
    }
}

/// Equal numbers, wherever they are; those of a file that cannot be read equal none.
impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && matches!((self.read(), other.read()), (Ok(a), Ok(b)) if a == b)
    }
}

impl<T: Into<Shared>> From<T> for Floats {
    fn from(numbers: T) -> Self {
        Floats(Place::Memory(numbers.into()))
    }
}

/// A file that takes numbers out of memory. It lives as long as the last of them.
#[derive(Debug)]
pub struct Store {
    file: Arc<Mutex<File>>,
    end: u64,
}

impl Store {
    /// An empty file, for reading and writing.
    pub fn new(file: File) -> Self {
        Store { file: Arc::new(Mutex::new(file)), end: 0 }
    }

    /// The same numbers, left in the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&mut self, floats: &Floats) -> io::Result<Floats> {
        let numbers = floats.read()?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.end))?;
        let mut writer = BufWriter::with_capacity(CHUNK, &mut *file);
        numbers.iter().try_for_each(|number| writer.write_all(&number.to_le_bytes()))?;
        writer.flush()?;
        let stored = Place::File { file: self.file.clone(), at: self.end, len: numbers.len() };
        self.end += (numbers.len() * SIZE) as u64;
        Ok(Floats(stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_a_file() {
        let all = [vec![1.5, -0.0, f32::MAX], Vec::new(), (0..100_000).map(|i| i as f32 / 7.0).collect::<Vec<_>>()];
        let mut store = Store::new(tempfile::tempfile().unwrap());
        let stored: Vec<Floats> = all.iter().map(|v| store.put(&v.clone().into()).unwrap()).collect();
        drop(store);
        for (stored, numbers) in stored.iter().zip(&all).rev() {
            assert_eq!(stored.len(), numbers.len());
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&stored.read().unwrap()), bits(numbers));
            assert_eq!(*stored, numbers.clone().into());
        }
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let stored = Store::new(file.try_clone().unwrap()).put(&vec![1.0; 10].into()).unwrap();
        file.set_len(39).unwrap();
        assert_eq!(stored.read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
