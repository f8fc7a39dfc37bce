//! The plan as a function of the graph.

use super::emit::emit;
use super::error::LayoutError;
use super::fill::Lowered;
use super::options::{Choices, Ports};
use super::place::{PlaceError, place};
use nanozk_ir::int::Graph;
use nanozk_plan::Geometry;
use nanozk_plan::check::MAX_K;

/// The plan of a layer shape on `tokens` tokens with a range table of `2^limb_bits` entries. It depends on nothing but
/// the arguments, so whoever has them derives the same plan, bit by bit, on every machine: no floating point, no hash
/// order, no threads.
///
/// # Errors
/// When the graph is malformed for its ports, a value is too wide, or it does not fit the chosen rows and columns.
pub fn lower_with(
    graph: &Graph,
    ports: &Ports,
    tokens: u32,
    limb_bits: u32,
    choices: &Choices,
) -> Result<Lowered, LayoutError> {
    let &Choices { k, squares, weight_columns } = choices;
    let does_not_fit = |reason: String| LayoutError::DoesNotFit { min_k: k, max_k: k, reason };
    let geometry = (1..=MAX_K).contains(&k).then(|| Geometry::new(k, limb_bits, tokens)).flatten();
    let geometry = geometry.ok_or_else(|| {
        does_not_fit(format!("a table of 2^{limb_bits} entries or one slot of {tokens} rows does not fit"))
    })?;
    let emitted = emit(graph, ports, tokens, limb_bits, squares)?;
    place(&emitted, geometry, Some(weight_columns)).map_err(|error| match error {
        PlaceError::Geometry(reason) => does_not_fit(reason),
        PlaceError::Layout(error) => error,
    })
}
