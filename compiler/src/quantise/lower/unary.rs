//! Elementwise functions by table.

use super::{Lowering, QuantiseError, Ref, Val};
use nanozk_ir::{float, int};

/// Bits that a table's output has beyond its input's resolution.
const EXTRA_BITS: u32 = 2;

impl Lowering<'_> {
    /// The function's values: at `scale`, or as an activation a little finer than the input.
    pub(super) fn unary(&mut self, r: Ref, scale: Option<&[f64]>) -> Result<Val, QuantiseError> {
        let x = self.act(self.operand(r, 0), true)?;
        let x = self.one_limb(r, x)?;
        match scale {
            Some(s) => self.tabulate(r, &x, s),
            None => {
                let finer = f64::from(EXTRA_BITS).exp2();
                let scale: Vec<f64> = x.unit.iter().map(|u| finer / u[0]).collect();
                self.tabulate(r, &x, &scale)
            }
        }
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
        let mut tables = Vec::with_capacity(self.layers());
        for (g, s) in scale.iter().enumerate() {
            let float::Op::Unary(f) = *self.op(g, r) else { continue };
            let unit = x.unit[g][0];
            let entry = |i: i64| {
                let y = (f.apply(i as f64 * unit) * s).round();
                y.clamp(-(2f64.powi(40)), 2f64.powi(40)) as i64
            };
            tables.push((-half..half).map(entry).collect());
        }
        let table = self.b.table(tables);
        let id = self.push(self.name(r), int::Op::Table { table }, &[x.id], n)?;
        Ok(Val::uniform(id, n, &super::port::inverse(scale)))
    }
}
