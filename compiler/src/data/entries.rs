//! What input files of all formats give.

/// Values of one input as a file gives them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    /// In the file's order.
    pub values: Vec<f64>,
    /// Shape, when the file states one.
    pub shape: Option<Vec<usize>>,
}

/// A file's entries.
pub(super) struct Entries {
    /// Those that may be of the model's inputs, in order.
    pub inputs: Vec<Raw>,
    /// Those of one value that are of none: their name or place, and the value.
    pub singles: Vec<(String, f64)>,
}
