//! Elementwise functions by table.

use super::{Lowering, QuantiseError, Ref, Val};
use nanozk_ir::int::Curve;
use nanozk_ir::{float, int};

/// Bits that a table's output has beyond its input's resolution.
const EXTRA_BITS: u32 = 2;
/// Bits of the greatest magnitude of a table's output.
const LIMIT_BITS: u32 = 40;
/// Bits that the calibrated peak of an operand of a requantised linear map leaves of one limb.
const BALANCED_BITS: u32 = 2;

impl Lowering<'_> {
    /// The function's values: at `scale`, or as an activation a little finer than the input.
    pub(super) fn unary(&mut self, r: Ref, scale: Option<&[f64]>) -> Result<Val, QuantiseError> {
        let x = self.act(self.operand(r, 0), true)?;
        let x = self.one_limb(r, x)?;
        match scale {
            Some(s) => self.tabulate(r, &x, s),
            None => {
                let scale = self.table_scale(r, &x);
                self.tabulate(r, &x, &scale)
            }
        }
    }

    /// Scales for a table's output: a little finer than its input, unless a consumer is requantised: there the bits of
    /// activations and weights share one limb and are best balanced.
    fn table_scale(&self, r: Ref, x: &Val) -> Vec<f64> {
        let finest = |g: usize| f64::from(EXTRA_BITS).exp2() / x.unit[g][0];
        let id = self.node(0, r);
        let sums =
            |c: float::NodeId| matches!(self.graph.dag[c].op, float::Op::Add | float::Op::Sub | float::Op::Output);
        let exact = self.graph.consumers(id).into_iter().all(|c| self.graph.consumers(c).into_iter().all(sums));
        if exact {
            return (0..self.layers()).map(finest).collect();
        }
        let balanced = f64::from(self.b.limb_bits - BALANCED_BITS).exp2();
        let peak = |row: &Vec<f64>| row.iter().copied().fold(1e-6, f64::max);
        self.peaks(r).iter().enumerate().map(|(g, p)| finest(g).min(balanced / peak(p))).collect()
    }

    /// Tables read requantised limbs; what is something else (a view, a table's output) is requantised.
    fn one_limb(&mut self, r: Ref, x: Val) -> Result<Val, QuantiseError> {
        if matches!(self.b.graph.nodes[x.id as usize].op, int::Op::Requant { out_limbs: 1, .. }) {
            return Ok(x);
        }
        let pending = self.exactly(self.operand(r, 0), x);
        self.requantised(pending, true)
    }

    fn tabulate(&mut self, r: Ref, x: &Val, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (n, half) = (self.features(r), 1i64 << (self.b.limb_bits - 1));
        let mut curves = Vec::with_capacity(self.layers());
        for (g, &scale) in scale.iter().enumerate() {
            let float::Op::Unary(function) = self.op(g, r) else { continue };
            let function = function.clone();
            curves.push(Curve {
                function,
                origin: half,
                unit: x.unit[g][0],
                scale,
                limit: 1 << LIMIT_BITS,
                last: None,
            });
        }
        let table = self.b.table(curves);
        let id = self.push(self.name(r), int::Op::Table { table }, &[x.id], n)?;
        Ok(Val::uniform(id, n, &super::port::inverse(scale)))
    }
}
