//! Tables of an architecture.

use serde::Serialize;

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct TableInfo {
    /// The function whose values these are, `None` where they are stated as they are.
    pub function: Option<String>,
    /// Least value.
    pub least: i64,
    /// Greatest value.
    pub greatest: i64,
    /// The values, where they were asked for or have no name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<i64>,
}
