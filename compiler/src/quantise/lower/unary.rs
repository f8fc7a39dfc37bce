//! Elementwise functions by table.

use super::{Lowering, QuantiseError, Ref, Val, numbers::inverse};
use crate::quantise::stats::known;
use nanozk_ir::int::Curve;
use nanozk_ir::{float, int};

/// Bits that a table's output has beyond its input's resolution.
const EXTRA_BITS: u32 = 2;
/// Bits that the calibrated peak of an operand of a requantised linear map leaves of one limb.
const BALANCED_BITS: u32 = 2;
/// Bits by which an entry of a table may exceed the calibrated peak.
const BEYOND_BITS: f64 = 10.0;
/// Bits above the calibrated peak up to which values tell how steep a function is.
const STEEP_BITS: f64 = 4.0;
/// Greatest magnitude of an entry.
const ENTRY_BITS: f64 = 60.0;

impl Lowering<'_> {
    /// The function's values: at `scale`, or as an activation a little finer than the input.
    pub(super) fn unary(&mut self, r: Ref, scale: Option<&[f64]>) -> Result<Val, QuantiseError> {
        if self.q().compare {
            return self.compared(r, scale);
        }
        let x = self.act(self.operand(r, 0), true)?;
        let x = self.one_limb(r, x)?;
        match scale {
            Some(s) => self.tabulate(r, &x, s),
            None => {
                let tied = self.tied_unit(r).map(inverse);
                let scale = tied.unwrap_or_else(|| self.table_scale(r, &x));
                self.tabulate(r, &x, &scale)
            }
        }
    }

    /// Scales for a table's output: a little finer than its input, unless a consumer is requantised: there the bits of
    /// activations and weights share one limb and are best balanced.
    fn table_scale(&self, r: Ref, x: &Val) -> Vec<f64> {
        let finest = |g: usize| f64::from(EXTRA_BITS).exp2() / (x.unit[g][0] * self.slope(g, r, x));
        let id = self.node(0, r);
        let sums =
            |c: float::NodeId| matches!(self.graph.dag[c].op, float::Op::Add | float::Op::Sub | float::Op::Output);
        let exact = self.graph.consumers(id).into_iter().all(|c| self.graph.consumers(c).into_iter().all(sums));
        if exact {
            return (0..self.layers()).map(finest).collect();
        }
        let balanced = f64::from(self.b.limb_bits - BALANCED_BITS).exp2();
        self.peak(r).iter().enumerate().map(|(g, peak)| finest(g).min(balanced / peak)).collect()
    }

    /// Tables read requantised limbs; what is something else (a view, a table's output) is requantised.
    fn one_limb(&mut self, r: Ref, x: Val) -> Result<Val, QuantiseError> {
        if matches!(self.b.graph.nodes[x.id as usize].op, int::Op::Requant(int::ops::Requant { out_limbs: 1, .. })) {
            return Ok(x);
        }
        let pending = self.exactly(self.operand(r, 0), x);
        self.requantised(pending, true)
    }

    /// The function of layer `g` at every integer of one limb.
    fn values(&self, g: usize, r: Ref, x: &Val) -> Vec<f64> {
        let (half, unit) = (1i64 << (self.b.limb_bits - 1), x.unit[g][0]);
        match self.op(g, r) {
            float::Op::Unary(f) => (-half..half).map(|i| f.apply(i as f64 * unit)).collect(),
            _ => Vec::new(),
        }
    }

    /// Root mean square of the function's slope, as a power of two: the resolution of its values is that of its
    /// arguments times this. Arguments where it is far above its calibrated peak do not count: an exponential of what is
    /// never above 0 is steepest where nothing ever is.
    fn slope(&self, g: usize, r: Ref, x: &Val) -> f64 {
        let peak = self.peak(r)[g];
        let values = self.values(g, r, x);
        let most = peak * STEEP_BITS.exp2();
        let near = values.windows(2).filter(|w| w.iter().all(|v| v.abs() <= most));
        let steps = near.map(|w| (w[1] - w[0]).powi(2)).filter(|d| *d <= peak.powi(2));
        let (sum, count) = steps.fold((0.0, 0.0f64), |(sum, count), d| (sum + d, count + 1.0));
        known((sum / count.max(1.0)).sqrt() / x.unit[g][0]).log2().ceil().exp2()
    }

    /// The table at `scale`. Where the function is not defined, it is 0; far beyond calibration, it stays what it is at
    /// the end of what entries hold.
    fn tabulate(&mut self, r: Ref, x: &Val, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (n, peaks) = (self.features(r), self.peak(r));
        let mut curves = Vec::with_capacity(self.layers());
        for (g, &scale) in scale.iter().enumerate() {
            let float::Op::Unary(function) = self.op(g, r) else { continue };
            let limit = (peaks[g] * scale.abs() * BEYOND_BITS.exp2()).min(ENTRY_BITS.exp2()).ceil() as i64;
            let (function, origin) = (function.clone(), 1 << (self.b.limb_bits - 1));
            curves.push(Curve { function, origin, unit: x.unit[g][0], scale, limit, last: None });
        }
        let table = self.b.table(curves);
        let id = self.push(self.name(r), int::ops::Table { table }.into(), &[x.id], n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }
}
