//! The cheapest choices.

use super::budget::Budget;
use super::error::{Excess, LayoutError};
use super::fill::Lowered;
use super::options::{Options, Ports, Squares};
use super::place::{PlaceError, place};
use super::walk::emit;
use nanozk_ir::int::Graph;
use nanozk_plan::Geometry;
use nanozk_plan::check::MAX_K;
use nanozk_plan::cost::{Cost, cost};

/// How many k above the least one are tried.
const SPREAD: u32 = 6;

/// Lowers a layer shape to the plan that is cheapest for `options.objective`.
///
/// # Errors
/// When the graph is malformed for its ports, a value is too wide, or no geometry up to `2^20` rows holds it.
pub fn lower(graph: &Graph, ports: &Ports, options: &Options) -> Result<Lowered, LayoutError> {
    let candidates: Vec<Geometry> = match options.k {
        Some(k) => Geometry::new(k, options.limb_bits, options.tokens).into_iter().collect(),
        None => (1..=MAX_K).filter_map(|k| Geometry::new(k, options.limb_bits, options.tokens)).collect(),
    };
    let mut best: Option<(f64, Lowered)> = None;
    let mut reason = Excess::Rows { limb_bits: options.limb_bits };
    for squares in Squares::ALL {
        let emitted = emit(graph, ports, options.tokens, options.limb_bits, squares, Budget::UNLIMITED)?;
        let mut tried = 0;
        for &geometry in &candidates {
            match place(&emitted, geometry, options.weight_columns) {
                Ok(lowered) => {
                    let score = Cost::score(&cost(&lowered.plan), options.objective);
                    if best.as_ref().is_none_or(|(least, _)| score < *least) {
                        best = Some((score, lowered));
                    }
                    tried += 1;
                    if tried > SPREAD {
                        break;
                    }
                }
                Err(PlaceError::Geometry(why)) => reason = why,
                Err(PlaceError::Layout(error)) => return Err(error),
            }
        }
    }
    let (min_k, max_k) = match options.k {
        Some(k) => (k, k),
        None => (1, MAX_K),
    };
    best.map(|(_, lowered)| lowered).ok_or(LayoutError::DoesNotFit { min_k, max_k, reason })
}
