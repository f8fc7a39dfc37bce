//! Input files: EZKL's `input.json` and NumPy's `.npz`.

mod entries;
mod error;
mod json;
mod malformed;
mod npz;

use crate::setting::Setting;
use entries::{Entries, Raw};
pub use error::DataError;
pub use malformed::Malformed;
use nanozk_ir::float::{InputKind, InputValue};
use nanozk_plan::{ElementType, ValueInfo};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// An input of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputInfo {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: ElementType,
    /// What it carries.
    pub kind: InputKind,
}

impl InputInfo {
    /// Its elements in its tensor: all of it, or the first row of a mask's, whose rows are equal.
    pub fn value(&self) -> ValueInfo {
        ValueInfo::row_major(&self.name, self.shape.clone(), self.dtype)
    }
}

/// A value of one model input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputTensor {
    /// The value, padded to the shape of the model (token id 0, mask 0).
    pub value: InputValue,
    /// True number of positions: fewer than the model's tokens when a shorter prompt was given.
    pub len: usize,
}

/// What is known of the values that compilation settled inputs to.
#[derive(Clone, Copy, Debug)]
pub enum Settled<'s> {
    /// What `--set` said, by name.
    To(&'s BTreeMap<String, Setting>),
    /// Nothing.
    Unknown,
}

/// Reads the values of all inputs of a model with no settled ones from `path`, as [`read_beside`] does.
///
/// # Errors
/// As [`read_beside`].
pub fn read_input(path: &Path, inputs: &[InputInfo]) -> Result<Vec<InputTensor>, DataError> {
    read_beside(path, inputs, Settled::To(&BTreeMap::new()))
}

/// Reads the values of all model inputs from `path` (`.npz`, otherwise JSON).
///
/// Token and mask inputs may be shorter than the model's sequence: they are padded with 0 and keep their true length.
/// Inputs that compilation settled may still stand in the file: without values, or with that which they were settled to.
///
/// # Errors
/// [`DataError`] for a file that cannot be read or is of another model.
pub fn read_beside(path: &Path, inputs: &[InputInfo], settled: Settled) -> Result<Vec<InputTensor>, DataError> {
    convert_all(path, &fitting(path, inputs, settled)?, inputs)
}

/// Reads sample data as [`read_beside`] does. A file that holds several times the values of every input is of as many
/// samples, one behind the other, as EZKL's calibration data are.
///
/// # Errors
/// As [`read_beside`].
pub fn read_samples(path: &Path, inputs: &[InputInfo], settled: Settled) -> Result<Vec<Vec<InputTensor>>, DataError> {
    let raw = fitting(path, inputs, settled)?;
    let times = |(raw, info): (&Raw, &InputInfo)| {
        let size = info.shape.iter().product::<usize>().max(1);
        raw.values.len().is_multiple_of(size).then_some(raw.values.len() / size)
    };
    let mut counts = raw.iter().zip(inputs).map(times);
    let count = counts.next().flatten().filter(|&count| count > 1 && counts.all(|other| other == Some(count)));
    let Some(count) = count else { return Ok(vec![convert_all(path, &raw, inputs)?]) };
    let part = |raw: &Raw, sample: usize| {
        let size = raw.values.len() / count;
        Raw { values: raw.values[sample * size..(sample + 1) * size].to_vec(), shape: None }
    };
    let sample = |at: usize| convert_all(path, &raw.iter().map(|raw| part(raw, at)).collect::<Vec<_>>(), inputs);
    (0..count).map(sample).collect()
}

/// One entry of the file for each input.
fn fitting(path: &Path, inputs: &[InputInfo], settled: Settled) -> Result<Vec<Raw>, DataError> {
    let names: Vec<&str> = inputs.iter().map(|info| &info.name[..]).collect();
    let entries = without_settled(entries(path, &names)?, inputs);
    if entries.inputs.len() != inputs.len() {
        return Err(DataError::count(path, &names, entries.inputs.len()));
    }
    match entries.singles.into_iter().find_map(|(name, value)| Some((settled.differs(&name, value)?, name, value))) {
        Some((settled, name, value)) => Err(DataError::Settled { path: path.to_owned(), name, value, settled }),
        None => Ok(entries.inputs),
    }
}

impl Settled<'_> {
    /// Why an entry of no input must not have this value.
    fn differs(self, name: &str, value: f64) -> Option<&'static str> {
        let Settled::To(set) = self else {
            return Some(", so that nothing is known of the value that it was compiled with");
        };
        let plain = |name: &str| name.split_whitespace().collect::<String>();
        // A file of single precision rounds it.
        let equal = |setting: &Setting| setting.0 == value || f64::from(setting.0 as f32) == value;
        let agrees = match set.iter().find(|(key, _)| plain(key) == plain(name)) {
            Some((_, setting)) => equal(setting),
            // Another entry of a file of names, or one without a name, which may be any.
            None => !name.starts_with(PLACE) || set.values().any(equal),
        };
        (!agrees).then_some(", for it was compiled with another one")
    }
}

fn convert_all(path: &Path, raw: &[Raw], inputs: &[InputInfo]) -> Result<Vec<InputTensor>, DataError> {
    raw.iter().zip(inputs).enumerate().map(|(index, (raw, info))| convert(path, index, raw, info)).collect()
}

/// Leaves out entries for inputs that compilation settled, which have no value or one, where the others then have the numbers
/// of values that the model takes, and no other choice of entries has.
fn without_settled(entries: Entries, inputs: &[InputInfo]) -> Entries {
    let given: Vec<usize> = entries.inputs.iter().map(|raw| raw.values.len()).collect();
    let mut taken: Vec<usize> = inputs.iter().map(|info| info.shape.iter().product()).collect();
    let first = kept(given.iter().copied(), &taken);
    taken.reverse();
    let last = kept(given.into_iter().rev(), &taken).map(|mut kept| {
        kept.reverse();
        kept
    });
    let Some(kept) = first.filter(|first| Some(first) == last.as_ref()) else { return entries };
    let Entries { inputs, mut singles } = entries;
    let mut left = Vec::new();
    for (place, (raw, keep)) in inputs.into_iter().zip(kept).enumerate() {
        match raw.values.first() {
            _ if keep => left.push(raw),
            Some(value) => singles.push((format!("{PLACE}{place}"), *value)),
            None => {}
        }
    }
    Entries { inputs: left, singles }
}

/// What an entry without a name is called, before its place.
const PLACE: &str = "entry ";

/// Which entries the model takes if each input takes the first one behind the others that fits.
fn kept(given: impl Iterator<Item = usize>, taken: &[usize]) -> Option<Vec<bool>> {
    let mut left = taken.iter().peekable();
    let keep = |given: usize| match left.next_if(|&&size| size == given) {
        Some(_) => Some(true),
        None => (given <= 1).then_some(false),
    };
    let kept: Option<Vec<bool>> = given.map(keep).collect();
    kept.filter(|_| left.next().is_none())
}

/// The entries of the inputs of these names, by name where the file names them, else in its order.
fn entries(path: &Path, names: &[&str]) -> Result<Entries, DataError> {
    match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
        true => npz::read(path, names),
        false => json::read(path, names),
    }
}

/// The shapes that a file gives the inputs of these names; none where it gives none or cannot be read.
pub fn sample_shapes(path: &Path, names: &[String]) -> Vec<Option<Vec<usize>>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let raw = entries(path, &names).map_or_else(|_| Vec::new(), |entries| entries.inputs);
    raw.into_iter().map(|r| r.shape.or(Some(vec![r.values.len()]))).collect()
}

/// Least and greatest of the finite values of the inputs of these names over all files that can be read; [`read_samples`] refuses
/// others.
pub fn extents(files: &[PathBuf], names: &[String]) -> Vec<Option<(f64, f64)>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut extents: Vec<Option<(f64, f64)>> = Vec::new();
    for raw in files.iter().filter_map(|file| Some(entries(file, &names).ok()?.inputs)) {
        extents.resize(extents.len().max(raw.len()), None);
        for (extent, input) in extents.iter_mut().zip(&raw) {
            let wider = |e: Option<(f64, f64)>, &v: &f64| Some(e.map_or((v, v), |(lo, hi)| (lo.min(v), hi.max(v))));
            *extent = input.values.iter().filter(|v| (**v as f32).is_finite()).fold(*extent, wider);
        }
    }
    extents
}

fn convert(path: &Path, index: usize, raw: &Raw, info: &InputInfo) -> Result<InputTensor, DataError> {
    let (path, name) = (path.to_owned(), info.name.clone());
    let expected: usize = info.shape.iter().product();
    let got = raw.values.len();
    if got == 0 {
        return Err(DataError::Empty { path, index, name, expected });
    }
    let padded = matches!(info.kind, InputKind::Tokens { .. } | InputKind::Mask);
    if got > expected || (got < expected && !padded) {
        return Err(DataError::Length { path, index, name, got, expected, shape: info.shape.clone() });
    }
    if let Some(shape) = &raw.shape {
        let core = |s: &[usize]| s.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
        // A flat array is always read in row-major order.
        if core(shape).len() > 1 && core(shape) != core(&info.shape) {
            return Err(DataError::Shape { path, index, name, got: shape.clone(), expected: info.shape.clone() });
        }
    }
    let wrong = |position: usize, expected: String| DataError::Value {
        path: path.clone(),
        index,
        name: name.clone(),
        position,
        value: raw.values[position],
        expected,
    };
    let find = |bad: &dyn Fn(f64) -> bool| raw.values.iter().position(|&v| bad(v));
    let value = match info.kind {
        InputKind::Tokens { vocab } => {
            if let Some(p) = find(&|v| v.fract() != 0.0 || !v.is_finite() || v < 0.0 || v >= vocab as f64) {
                return Err(wrong(p, format!("a token id in 0..{vocab}")));
            }
            let mut ids: Vec<u32> = raw.values.iter().map(|&v| v as u32).collect();
            ids.resize(expected, 0);
            InputValue::Tokens(ids)
        }
        InputKind::Mask => {
            if let Some(p) = find(&|v| v != 0.0 && v != 1.0) {
                return Err(wrong(p, "0 or 1".to_owned()));
            }
            let mut bits: Vec<bool> = raw.values.iter().map(|&v| v == 1.0).collect();
            bits.resize(expected, false);
            InputValue::Mask(bits)
        }
        InputKind::Integer { lo, hi } => {
            if let Some(p) = find(&|v| v.fract() != 0.0 || v < lo as f64 || v > hi as f64) {
                return Err(wrong(
                    p,
                    format!("a whole number in {lo}..={hi}, the range that use and sample data gave"),
                ));
            }
            InputValue::Integer(raw.values.iter().map(|&v| v as i64).collect())
        }
        InputKind::Float => {
            if let Some(p) = find(&|v| !(v as f32).is_finite()) {
                return Err(wrong(p, "a finite single-precision number".to_owned()));
            }
            InputValue::Float(raw.values.iter().map(|&v| v as f32).collect())
        }
    };
    let len = if padded { got } else { info.shape.iter().product::<usize>() };
    Ok(InputTensor { value, len })
}

impl InputTensor {
    /// A fixed pseudo-random value for the input at place `slot`, real numbers within the extent of the sample data, else between -1 and
    /// 1; a mask hides the last quarter of the keys.
    pub fn probe(info: &InputInfo, slot: usize, seen: Option<(f64, f64)>) -> InputTensor {
        let len: usize = info.shape.iter().product();
        let mut state = 0x2545_f491_4f6c_dd1d_u64.wrapping_add((slot as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let value = match info.kind {
            InputKind::Tokens { vocab } => {
                InputValue::Tokens((0..len).map(|_| (next() % vocab.max(1) as u64) as u32).collect())
            }
            InputKind::Mask => InputValue::Mask((0..len).map(|i| i + len / 4 < len).collect()),
            InputKind::Integer { lo, hi } => {
                let span = hi.abs_diff(lo).saturating_add(1);
                InputValue::Integer((0..len).map(|_| lo.saturating_add_unsigned(next() % span)).collect())
            }
            InputKind::Float => {
                let (lo, hi) = seen.filter(|(lo, hi)| lo < hi && (hi - lo).is_finite()).unwrap_or((-1.0, 1.0));
                let within = |share: f64| (lo + (hi - lo) * share) as f32;
                InputValue::Float((0..len).map(|_| within(next() as f64 / (1u64 << 31) as f64)).collect())
            }
        };
        InputTensor { value, len }
    }
}
