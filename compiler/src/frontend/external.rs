//! Weights in files beside the model ("external data"), which exporters write for large models.

use super::error::FrontendError;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Component, Path},
};
use tract_onnx::pb::{GraphProto, TensorProto, tensor_proto::DataLocation};

/// BLAKE2b-256 of the model file and of the weights files it names, in the order of their names.
///
/// # Errors
/// When a weights file is missing, ends early, or lies outside the folder of the model.
pub(super) fn digest(path: &Path, model: &[u8], graph: &GraphProto) -> Result<[u8; 32], FrontendError> {
    let mut state = blake2b_simd::Params::new().hash_length(32).to_state();
    state.update(model);
    let folder = path.parent().unwrap_or(Path::new("."));
    for (location, end) in files(graph) {
        let (path, location) = (path.to_owned(), location.to_owned());
        if !Path::new(&location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(FrontendError::OutsideExternalData { path, location });
        }
        let file = folder.join(&location);
        if !file.is_file() {
            return Err(FrontendError::MissingExternalData { path, location });
        }
        let io = |source| FrontendError::Io { path: file.clone(), source };
        let mut reader = File::open(&file).map_err(io)?;
        let size = reader.metadata().map_err(io)?.len();
        if size < end {
            return Err(FrontendError::ShortExternalData { path, location, size, end });
        }
        std::io::copy(&mut reader, &mut state).map_err(io)?;
    }
    let mut out = [0; 32];
    out.copy_from_slice(state.finalize().as_bytes());
    Ok(out)
}

/// Locations that the weights name, and where the last tensor in each ends.
fn files(graph: &GraphProto) -> BTreeMap<&str, u64> {
    let mut files: BTreeMap<&str, u64> = BTreeMap::new();
    let external = |t: &&TensorProto| t.data_location == Some(DataLocation::External as i32);
    for tensor in graph.initializer.iter().filter(external) {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| entry(key).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        if let Some(location) = entry("location") {
            let end = files.entry(location).or_default();
            *end = number("offset").saturating_add(number("length")).max(*end);
        }
    }
    files
}
