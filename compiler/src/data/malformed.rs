//! Why the content of an input file is none.

/// What an input file is.
pub(super) const EXPECTED: &str =
    "expected {\"input_data\": [[..], ..]}, or a .npz archive, with one array per model input";

/// What a supported archive looks like.
const NUMPY: &str = "use float32, float64, bool or integers, and numpy.savez or numpy.savez_compressed";

/// What is wrong with the content of an input file.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// No JSON.
    #[error("not JSON ({0})")]
    Json(#[from] serde_json::Error),
    /// JSON without values.
    #[error("no array \"input_data\"")]
    NoData,
    /// Entries by name, of which one is missing.
    #[error("no entry \"{name}\"")]
    NoEntry {
        /// Name of the input.
        name: String,
        /// Names of all inputs.
        names: String,
    },
    /// A shape of another number of values.
    #[error("input_shapes[{index}] is {shape:?}, but input_data[{index}] has {got} value(s)")]
    Shape {
        /// Index of the input.
        index: usize,
        /// The shape stated.
        shape: Vec<usize>,
        /// Number of values.
        got: usize,
    },
    /// Something else where a number is expected.
    #[error("{place} holds {found}, not a number")]
    NoNumber {
        /// Where.
        place: String,
        /// What stands there.
        found: String,
    },
    /// No archive.
    #[error("not an .npz archive: {0}")]
    NoArchive(zip::result::ZipError),
    /// An archive whose counts cannot be trusted.
    #[error("a 64-bit .npz archive")]
    Zip64,
    /// An array that cannot be unpacked.
    #[error("array \"{name}\" cannot be read ({cause})")]
    Unreadable {
        /// Name in the archive.
        name: String,
        /// Why.
        cause: std::io::Error,
    },
    /// An array of an unknown form.
    #[error("array \"{name}\" has {what}")]
    Array {
        /// Name in the archive.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Malformed {
    /// What helps.
    pub fn way_out(&self) -> String {
        match self {
            Malformed::NoEntry { names, .. } => format!("give one for each input: {names}"),
            Malformed::Zip64 | Malformed::Unreadable { .. } | Malformed::Array { .. } => NUMPY.to_owned(),
            Malformed::Json(_)
            | Malformed::NoData
            | Malformed::Shape { .. }
            | Malformed::NoNumber { .. }
            | Malformed::NoArchive(_) => EXPECTED.to_owned(),
        }
    }
}
