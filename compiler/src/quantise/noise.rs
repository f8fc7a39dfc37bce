//! Noise on the scores behind an output, by which answers are drawn.

use super::scales::Scales;
use crate::config::{Config, Head};
use nanozk_ir::float::{Graph, NodeId, Op};
use nanozk_ir::int::{gumbel, ranges::Range};

/// The noise that scores take.
pub(super) struct Noise {
    /// That of the scores: both are added as integers.
    pub scale: f64,
    /// What it may be, up to the greatest temperature.
    pub range: Range,
}

/// The noise on the scores that `output` has the greatest of; `None` for other nodes, and where answers are not drawn.
pub(super) fn noise(graph: &Graph, config: &Config, scales: &Scales, output: NodeId) -> Option<Noise> {
    let most = config.max_temperature.filter(|_| config.head == Head::Argmax)?;
    if !matches!(graph.dag[output].op, Op::Output) {
        return None;
    }
    let scores = *graph.operands(output).first()?;
    let scale = scales.of(scores);
    let (lo, hi) = gumbel::range(gumbel::thousandths(most)?, scale);
    Some(Noise { scale, range: Range::uniform(graph.dag[scores].features, lo, hi) })
}
