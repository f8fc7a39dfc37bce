//! Reciprocal roots.

use super::{Meaning, Misfit, Numbers, Op, Site, elementwise, parameters};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `r = floor(sqrt(C / v))` for `v >= 1`: the largest r with `r^2 v <= C`, C = `params[param]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RSqrt {
    /// Index of C.
    pub param: u32,
}

/// Part: `r v`.
pub const LINEAR: u8 = 0;
/// Part: `r^2 v`.
pub const CUBIC: u8 = 1;
/// Part: `C - r^2 v`.
pub const LOW: u8 = 2;
/// Part: `(r + 1)^2 v - 1 - C`.
pub const HIGH: u8 = 3;

/// The sums of squares whose roots divide, where nothing is added to them: without an epsilon a sum of 0 has no root to divide
/// by. The operand is what is left of a sum after its lower limbs, and 1.
fn bare_sums(site: &Site) -> Option<u32> {
    let of = |id: u32| site.graph.nodes.get(id as usize);
    let kept = of(*site.operand(0)?.inputs.first()?).filter(|node| matches!(node.op, Op::Requant(_)))?;
    let sums = *kept.inputs.first()?;
    let squares = match of(sums)? {
        node if matches!(node.op, Op::Affine(_)) && node.inputs.len() == 1 => of(node.inputs[0])?,
        _ => return None,
    };
    (matches!(squares.op, Op::Mul(_)) && squares.inputs[0] == squares.inputs[1]).then_some(sums)
}

impl Meaning for RSqrt {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        parameters(site, self.param, 1)
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let c = numbers.params[self.param as usize];
        site.map(args[0], |v| rsqrt(c, v).ok_or(v))
    }

    fn parts(&self, _: &Site, numbers: &Numbers, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>> {
        let c = numbers.params[self.param as usize];
        let of = |part: fn(i64, i64, i64) -> i64| result.iter().zip(args[0]).map(|(&r, &v)| part(c, r, v)).collect();
        let high = |c: i64, r: i64, v: i64| {
            let [c, next, v] = [c, r + 1, v].map(i128::from);
            (next * next * v - 1 - c) as i64
        };
        vec![of(|_, r, v| r * v), of(|_, r, v| r * r * v), of(|c, r, v| c - r * r * v), of(high)]
    }

    fn range(&self, _: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let c = around.scope.layer.params[self.param as usize];
        args[0].falling(|v| rsqrt(c, v))
    }

    fn saturated(&self, site: &Site, _: &Numbers, values: &[Vec<i64>]) -> Option<(usize, f64)> {
        let none = values[bare_sums(site)? as usize].iter().filter(|sum| **sum == 0).count();
        Some((none, if none > 0 { f64::INFINITY } else { 0.0 }))
    }

    /// The result, and both remainders of the two inequalities, which are below twice the root times the operand.
    fn lookups(&self, site: &Site) -> u64 {
        let rest = site.operand(0).map_or(0, |v| site.limbs(v.hi.saturating_mul(2)));
        site.cells() * u64::from(site.limbs(site.node.hi) + 2 * rest)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some("normalisation".into())
    }
}

/// The largest r with `r^2 v <= c`; `None` unless `c >= 0` and `v >= 1`.
pub fn rsqrt(c: i64, v: i64) -> Option<i64> {
    (c >= 0 && v >= 1).then(|| (c / v).isqrt())
}
