//! What is laid out can be proven: every value within a node's bounds, at every width of limbs.

use nanozk_ir::int::ops::{Div, FloorDiv, Max, Normalise, Root, Step};
use nanozk_ir::int::{Op, Role, ValueId, ops};
use nanozk_layout::{LayoutError, Options, lower, witness};
use nanozk_testkit::net::Net;

/// Widths of limbs that a configuration may ask for.
const WIDTHS: std::ops::RangeInclusive<u32> = 8..=16;

/// Values at both ends of every power of two that is allowed for a value.
fn magnitudes() -> Vec<i64> {
    (0..62).flat_map(|i| [1i64 << i, (1 << i) + 1, (1 << i) + (1 << i >> 1), (2 << i) - 1]).collect()
}

/// A net whose only op reads `x`, one value per token, within bounds that are known before: `[lo, hi]`.
fn net(bits: u32, x: &[i64], lo: i64, hi: i64, op: impl Fn(&mut Net) -> Op) -> Net {
    rows_net(bits, 1, x, (lo, hi), 1, op)
}

/// The same for rows of `width` values, of which the op makes `features`.
fn rows_net(bits: u32, width: u32, x: &[i64], (lo, hi): (i64, i64), features: u32, op: impl Fn(&mut Net) -> Op) -> Net {
    let mut net = Net::new(x.len() as u32 / width, bits);
    let input = net.input(x.to_vec(), Role::Internal);
    bound(&mut net, input, lo, hi);
    let op = op(&mut net);
    let y = net.push(op, &[input], features);
    net.output(y, Role::Internal);
    net
}

fn bound(net: &mut Net, id: ValueId, lo: i64, hi: i64) {
    let node = &mut net.model.shapes[0].nodes[id as usize];
    (node.lo, node.hi) = (lo, hi);
}

/// Proves the net if it has a layout, and says whether it has.
fn proven(net: &Net, what: &str) -> bool {
    let options = Options { k: Some((net.model.limb_bits + 1).max(14)), ..net.options() };
    let lowered = match lower(&net.model.shapes[0], &net.ports(), &options) {
        Ok(lowered) => lowered,
        Err(LayoutError::TooWide { .. } | LayoutError::Coefficient) => return false,
        Err(other) => panic!("{what}: {other}"),
    };
    let lanes = witness::fill(&lowered, &net.model, 0, &net.values).unwrap_or_else(|e| panic!("{what}: {e}"));
    net.check(&lowered, &lanes).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    true
}

/// All magnitudes up to `hi`, over and over: one for each of 256 tokens.
fn operands(hi: i64) -> Vec<i64> {
    let all: Vec<i64> = magnitudes().into_iter().filter(|v| *v <= hi).collect();
    all.into_iter().cycle().take(256).collect()
}

#[test]
fn reciprocals_and_roots() {
    for bits in WIDTHS {
        let mut accepted = [0; 2];
        for numerator in [1i64, 1 << 20, 1 << 44, 1 << 60, (1 << 61) - 1] {
            for hi in [1, 1 << 10, 1 << 31, 1 << 50, (1 << 61) - 1] {
                let (x, what) = (operands(hi), format!("{numerator} over up to {hi}, {bits} bits"));
                let mut recip = net(bits, &x, 1, hi, |n| Op::Recip(ops::Recip { param: n.param(numerator) }));
                bound(&mut recip, 1, 0, numerator);
                accepted[0] += i32::from(proven(&recip, &what));
                let mut root = net(bits, &x, 1, hi, |n| Op::RSqrt(ops::RSqrt { param: n.param(numerator) }));
                bound(&mut root, 1, 0, numerator.isqrt());
                accepted[1] += i32::from(proven(&root, &what));
            }
        }
        assert!(accepted.iter().all(|&n| n > 15), "{bits} bits: {accepted:?}");
    }
}

#[test]
fn requantisations_and_ranges() {
    for bits in WIDTHS {
        let mut accepted = 0;
        for (limbs, out_limbs) in (1..=62 / bits).flat_map(|l| (1..=62 / bits).map(move |o| (l, o))) {
            let most = ((1i128 << (limbs * bits + out_limbs * bits - 1)) - (1 << (limbs * bits - 1)) - 1).min(1 << 61);
            let hi = most as i64;
            for clamp in [false, true].into_iter().take(if out_limbs == 1 { 2 } else { 1 }) {
                let hi = if clamp { 1 << 61 } else { hi };
                let x = [hi, -hi, 0, 1 - hi / 3];
                let what = format!("{limbs} limbs dropped, {out_limbs} left, {bits} bits, clamp {clamp}");
                let requant = net(bits, &x, -hi, hi, |_| Op::Requant(ops::Requant { limbs, out_limbs, clamp }));
                accepted += i32::from(proven(&requant, &what));
            }
        }
        for limbs in 1..=62 / bits {
            let half = 1i64 << (limbs * bits - 1);
            let range =
                net(bits, &[half - 1, -half, 0, half / 3], -half, half - 1, |_| Op::Range(ops::Range { limbs }));
            accepted += i32::from(proven(&range, &format!("{limbs} limbs of {bits} bits")));
        }
        assert!(accepted > 10, "{bits} bits: {accepted}");
    }
}

/// Quotients of numbers up to `most.0` by divisors up to `most.1`.
fn division(bits: u32, most: (i64, i64), op: Div) -> Net {
    let x = [most.0 - 1, 1 - most.0, 0, most.0 / 3, -1, 1];
    let z = [1, 1, most.1, most.1 - 1, most.1 / 2 + 1, 1];
    let mut net = Net::new(x.len() as u32, bits);
    let inputs = [(x, 1 - most.0, most.0 - 1), (z, 1, most.1)].map(|(data, lo, hi)| {
        let input = net.input(data.to_vec(), Role::Internal);
        bound(&mut net, input, lo, hi);
        input
    });
    let y = net.push(op.into(), &inputs, 1);
    bound(&mut net, y, 1 - most.0, most.0 - 1);
    net.output(y, Role::Internal);
    net
}

#[test]
fn comparisons_and_quotients() {
    for bits in WIDTHS {
        let mut accepted = [0; 6];
        for limbs in 1..=62 / bits {
            let reach = 1i64 << (limbs * bits);
            let ends = [reach - 1, -reach, 0, -1, reach / 3];
            let what = format!("{limbs} limbs of {bits} bits");
            accepted[0] += i32::from(proven(&net(bits, &ends, -reach, reach - 1, |_| Step { limbs }.into()), &what));
            for rest_limbs in 1..=62 / bits {
                let (x, z) = ((reach / 2).min(1 << 61), 1i64 << (rest_limbs * bits).min(61));
                let div = division(bits, (x, z), Div { limbs, rest_limbs });
                accepted[4] += i32::from(proven(&div, &format!("{what} by {rest_limbs} limbs")));
            }
            for rest_limbs in limbs..=(limbs + 1).min(62 / bits) {
                let most = (reach - 1).min(((1i64 << (rest_limbs * bits)) - 1) / 2).min((1 << 30) - 1);
                let hi = (most + 1) * (most + 1) - 1;
                let mut root =
                    net(bits, &[0, 1, most * most, most * most - 1, hi], 0, hi, |_| Root { limbs, rest_limbs }.into());
                bound(&mut root, 1, 0, most);
                accepted[5] += i32::from(proven(&root, &what));
            }
            let (lo, hi) = (1 - reach / 2, reach / 2);
            let max = rows_net(bits, 2, &[hi, lo, 7, 7], (lo, hi), 1, |_| Max { groups: 1, limbs }.into());
            accepted[1] += i32::from(proven(&max, &what));
            for divisor in [1i64, 2, 3, (1 << bits) - 1, 1 << bits, (1 << bits) + 1, 1_000_003, 1 << 40] {
                let Some(most) = divisor.checked_mul(reach / 2).filter(|most| *most <= 1 << 61) else { continue };
                let x = [most - 1, -most, 0, -1, divisor - 1, most / 3].map(|x| x.clamp(-most, most - 1));
                let floor = net(bits, &x, -most, most - 1, |_| FloorDiv { divisor, limbs }.into());
                accepted[2] += i32::from(proven(&floor, &format!("{what}, by {divisor}")));
            }
        }
        for limbs in 1..62 / bits {
            let hi = (1i64 << (limbs * bits)) - 1;
            let normal = rows_net(bits, 1, &operands(hi), (1, hi), 2, |_| Normalise { limbs }.into());
            accepted[3] += i32::from(proven(&normal, &format!("{limbs} limbs of {bits} bits")));
        }
        assert!(accepted.iter().all(|&n| n > 1), "{bits} bits: {accepted:?}");
    }
}
