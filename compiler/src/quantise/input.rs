//! How real-valued inputs of a model become integers.

use super::stats::known;
use crate::config::{Config, Visibility};
use nanozk_ir::float::{Graph, NodeId, Op};

/// Limbs of a private input.
const PRIVATE_LIMBS: u32 = 2;

/// Room above the largest calibrated input.
pub(crate) const INPUT_ROOM: f64 = 8.0;

/// How a real-valued model input becomes integers.
pub(super) struct InputForm {
    /// Units per 1.0 of the tensor.
    pub scale: f64,
    /// Bits by which the tensor is coarser than its stream; 0 for an input that only linear maps read.
    pub shift: u32,
    /// Integers lie in `[-limit, limit)`.
    pub limit: i64,
}

/// Form of the input `id` whose largest calibrated magnitude is `peak` and whose stream has `scale` units per 1.0. A
/// private one fills whole limbs, which its proof checks; a public one is checked by the verifier and needs no limbs. An
/// input that only linear maps read needs no more resolution than an activation.
pub(super) fn input_form(graph: &Graph, id: NodeId, config: &Config, peak: f64, scale: f64) -> InputForm {
    let (peak, limb) = (known(peak), config.quantise.limb_bits());
    let narrow = only_linear(graph, id).then(|| (f64::from(limb) - 2.0 - peak.log2()).floor().exp2());
    let scale = narrow.unwrap_or(scale);
    let limit = (peak * INPUT_ROOM * scale).log2().ceil();
    if config.input == Visibility::Public {
        return InputForm { scale, shift: 0, limit: limit.exp2() as i64 };
    }
    let bits = match config.quantise.compare {
        // As many as it needs of those half as wide.
        true => (((limit + 1.0) / f64::from(limb / 2)).ceil() as u32).clamp(1, 2 * PRIVATE_LIMBS) * (limb / 2) - 1,
        false => PRIVATE_LIMBS * limb - 1,
    };
    let shift = (limit - f64::from(bits)).max(0.0) as u32;
    InputForm { scale: scale / f64::from(shift).exp2(), shift, limit: 1 << bits }
}

/// Whether nothing but linear maps reads the value.
pub(super) fn only_linear(graph: &Graph, id: NodeId) -> bool {
    graph.consumers(id).iter().all(|&c| matches!(graph.dag[c].op, Op::Linear { .. }))
}
