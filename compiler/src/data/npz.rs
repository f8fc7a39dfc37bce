//! NumPy archives: one array per model input, by the input's name, or in the order of the archive.

use super::{DataError, Raw};
use crate::frontend::InputInfo;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use std::{fs::File, path::Path};

pub(super) fn read(path: &Path, inputs: &[InputInfo]) -> Result<Vec<Raw>, DataError> {
    let format = |reason: String| DataError::Format { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let mut archive = NpzReader::new(file).map_err(|e| format(format!("not an .npz archive: {e}")))?;
    let names = archive.names().map_err(|e| format(format!("not an .npz archive: {e}")))?;
    let stem = |name: &str| name.trim_end_matches(".npy").to_owned();
    let by_name = inputs.iter().all(|i| names.iter().any(|n| stem(n) == i.name));
    let chosen: Vec<String> = match by_name {
        true => inputs.iter().filter_map(|i| names.iter().find(|n| stem(n) == i.name)).cloned().collect(),
        false => names,
    };
    chosen
        .into_iter()
        .map(|name| {
            array(&mut archive, &name).ok_or_else(|| {
                format(format!("array \"{name}\" has an unsupported type; use float32, float64, bool or integers"))
            })
        })
        .collect()
}

fn array(archive: &mut NpzReader<File>, name: &str) -> Option<Raw> {
    fn raw<T: Copy>(a: ArrayD<T>, to: impl Fn(T) -> f64) -> Raw {
        Raw { shape: Some(a.shape().to_vec()), values: a.iter().map(|&v| to(v)).collect() }
    }
    macro_rules! attempt {
        ($($t:ty => $f:expr),*) => {$(
            if let Ok(a) = archive.by_name::<OwnedRepr<$t>, IxDyn>(name) {
                return Some(raw(a, $f));
            }
        )*};
    }
    attempt!(
        f32 => f64::from, f64 => |v| v, i64 => |v| v as f64, i32 => f64::from, u8 => f64::from, i8 => f64::from,
        i16 => f64::from, u16 => f64::from, u32 => f64::from, u64 => |v| v as f64, bool => |v| f64::from(u8::from(v))
    );
    None
}
