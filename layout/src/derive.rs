//! The plan as a function of the graph.

use super::bounds::{Bounds, Known, bounds};
use super::budget::Budget;
use super::emit::Emitted;
use super::error::{Excess, LayoutError};
use super::fill::Lowered;
use super::options::{Choices, Ports};
use super::place::{PlaceError, place};
use super::walk::emit;
use nanozk_ir::int::Graph;
use nanozk_plan::Geometry;
use nanozk_plan::check::MAX_K;

/// Most weight columns of a plan.
const MAX_WEIGHT_COLUMNS: u32 = 1 << 16;

/// A layer shape with its plan.
pub struct Derived<'g> {
    graph: &'g Graph,
    emitted: Emitted,
    /// The plan.
    pub lowered: Lowered,
}

impl<'g> Derived<'g> {
    /// Lays a shape out on `tokens` tokens with a range table of `2^limb_bits` entries. The plan depends on nothing but the
    /// arguments, so whoever has them derives the same one, bit by bit, on every machine: no floating point, no hash
    /// order, no threads.
    ///
    /// # Errors
    /// When the graph is malformed for its ports, a value is too wide, it does not fit the chosen rows and columns, or it
    /// asks for more than `budget`.
    pub fn new(
        graph: &'g Graph,
        ports: &Ports,
        tokens: u32,
        limb_bits: u32,
        choices: &Choices,
        budget: Budget,
    ) -> Result<Self, LayoutError> {
        let &Choices { k, squares, weight_columns } = choices;
        let does_not_fit = |reason: Excess| LayoutError::DoesNotFit { min_k: k, max_k: k, reason };
        let geometry = (1..=MAX_K).contains(&k).then(|| Geometry::new(k, limb_bits, tokens)).flatten();
        let geometry = geometry.ok_or_else(|| does_not_fit(Excess::ChosenRows { limb_bits, tokens }))?;
        if weight_columns > MAX_WEIGHT_COLUMNS {
            return Err(does_not_fit(Excess::Columns(weight_columns)));
        }
        let emitted = emit(graph, ports, tokens, limb_bits, squares, budget)?;
        let lowered = place(&emitted, geometry, Some(weight_columns)).map_err(|error| match error {
            PlaceError::Geometry(reason) => does_not_fit(reason),
            PlaceError::Layout(error) => error,
        })?;
        Ok(Derived { graph, emitted, lowered })
    }

    /// What is left of the budget.
    pub fn budget(&self) -> Budget {
        self.emitted.budget
    }

    /// Bounds of the tensors of a layer of this shape; its equations hold over the integers.
    ///
    /// # Errors
    /// The node of the first equation that may wrap around the field.
    pub fn bounds(&self, known: &Known) -> Result<Bounds, LayoutError> {
        let geometry = &self.lowered.plan.geometry;
        bounds(&self.emitted, self.graph, geometry.tokens, geometry.limb_bits, known)
    }
}

/// The plan of [`Derived`].
///
/// # Errors
/// As [`Derived::new`].
pub fn lower_with(
    graph: &Graph,
    ports: &Ports,
    tokens: u32,
    limb_bits: u32,
    choices: &Choices,
) -> Result<Lowered, LayoutError> {
    Derived::new(graph, ports, tokens, limb_bits, choices, Budget::UNLIMITED).map(|derived| derived.lowered)
}
