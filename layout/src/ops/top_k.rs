//! TopK: the rank of every feature taken, as a one-hot over its group.
//!
//! Uniqueness: each rank marks one feature by 1 and has its value and index. With keys `K = w x - index`, which differ
//! within a group, `K_r - K_(r+1) - 1` is made of limbs, so the ranks mark different features and descend. For every
//! feature `K_last - K - 1 + 2^n [marked]` is made of n bits of limbs: no unmarked key reaches the last rank's.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::hidden::{GroupShape, Product};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{MatMul, Site, TopK, top_k};

impl Circuit for TopK {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let inner = site.widths[0] as u32 / self.groups;
        let (width, k, ranks) = (inner as usize, self.k as usize, self.groups * self.k);
        let marks = emitter.bits(id, Quantity::Own(top_k::MARKS), ranks * inner);
        let x: Vec<Expr> = (0..site.widths[0]).map(|f| emitter.value(operand, f)).collect();
        let sizes = MatMul { batch: self.groups, rows: self.k, inner, cols: 1 };
        let left = marks.iter().map(|&mark| Expr::atom(mark)).collect();
        let product = Product::Pair { sizes, left, right: x.clone() };
        let values = emitter.group(id, GroupShape::Pair { rows: ranks, cols: 1 }, vec![product]);
        let descent = emitter.range(id, Quantity::Own(top_k::DESCENT), ranks - self.groups, self.limbs, 0);

        let one = Expr::atom(ONE);
        let mut indices = Vec::new();
        for rank in marks.chunks(width) {
            let taken = rank.iter().map(|&mark| (mark, 1));
            emitter.define(Expr::atoms(taken.chain([(ONE, -1)])));
            indices.push(Expr::atoms(rank.iter().copied().zip(0..)));
        }
        let keys: Vec<Expr> =
            values.iter().zip(&indices).map(|(value, index)| value.scaled(inner.into()).plus(index, -1)).collect();
        for (keys, descent) in keys.chunks(k).zip(descent.chunks((k - 1).max(1))) {
            for (pair, descent) in keys.windows(2).zip(descent) {
                emitter.define(pair[0].plus(&pair[1], -1).plus(&one, -1).plus(descent, -1));
            }
        }
        if k < width {
            let reach = 1i128 << (self.limbs * site.limb_bits);
            let rest = emitter.range(id, Quantity::Own(top_k::REST), site.widths[0] as u32, self.limbs, 0);
            for (f, rest) in rest.iter().enumerate() {
                let (group, j) = (f / width, f % width);
                let marked = Expr::atoms((0..k).map(|r| (marks[(group * k + r) * width + j], reach)));
                let last = &keys[group * k + k - 1];
                let below = last.plus(&x[f], -i128::from(inner)).plus(&one, j as i128 - 1);
                emitter.define(below.plus(&marked, 1).plus(rest, -1));
            }
        }
        Ok(values.into_iter().chain(indices).collect())
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (2 + 2 * u64::from(self.limbs), site.read().saturating_mul(self.k.into()))
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "ranks: keys descend, and no other key reaches the last"
    }
}
