//! Each op on hand-computed values, at the ends of its domain, and against its bounds.

use super::*;
use proptest::prelude::*;

const BITS: u32 = 4;

fn site(widths: &[usize], features: usize) -> Site<'_> {
    Site { tokens: 1, limb_bits: BITS, widths, features }
}

fn eval(op: &dyn Meaning, args: &[&[i64]], features: usize) -> Result<Vec<i64>, String> {
    let widths: Vec<usize> = args.iter().map(|a| a.len()).collect();
    let site = site(&widths, features);
    op.check(&site)?;
    let mut out = vec![0; features];
    op.eval(&site, args, &mut out).map_err(|f| format!("{f:?}"))?;
    Ok(out)
}

#[test]
fn step_is_1_from_0_on() {
    let step = |x: &[i64]| eval(&Step { limbs: 1 }, &[x], x.len());
    assert_eq!(step(&[-16, -1, 0, 1, 15]).unwrap(), [0, 0, 1, 1, 1]);
    assert!(step(&[16]).is_err() && step(&[-17]).is_err());
}

#[test]
fn max_of_each_group() {
    let max = |x: &[i64]| eval(&Max { groups: 2, limbs: 1 }, &[x], 2);
    assert_eq!(max(&[1, 3, -8, -5]).unwrap(), [3, -5]);
    assert_eq!(max(&[-15, 0, 7, 7]).unwrap(), [0, 7]);
    assert!(max(&[-16, 0, 7, 7]).is_err() && max(&[1, 2, 3]).is_err());
}

#[test]
fn floor_div_rounds_down() {
    let div = |x: &[i64]| eval(&FloorDiv { divisor: 3, limbs: 1 }, &[x], x.len());
    assert_eq!(div(&[7, -7, 3, -3, 2, -1, 23, -24]).unwrap(), [2, -3, 1, -1, 0, -1, 7, -8]);
    assert!(div(&[24]).is_err() && div(&[-25]).is_err());
    assert!(eval(&FloorDiv { divisor: 0, limbs: 1 }, &[&[1]], 1).is_err());
}

#[test]
fn matmul_of_a_batch() {
    let op = MatMul { batch: 2, rows: 1, inner: 2, cols: 2 };
    let (x, z) = ([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(eval(&op, &[&x, &z], 4).unwrap(), [7, 10, 43, 50]);
    assert!(eval(&op, &[&z, &x], 4).is_err());
    assert!(eval(&op, &[&[1 << 61; 4], &[1 << 61; 8]], 4).is_err());
}

#[test]
fn normalised_values() {
    let normal = |x: &[i64]| eval(&Normalise { limbs: 2 }, &[x], 2 * x.len());
    assert_eq!(normal(&[1, 3, 255]).unwrap(), [0, 8, 15, 0, 1, 7]);
    assert!(normal(&[0]).is_err() && normal(&[256]).is_err());
}

#[test]
fn top_k_orders_equal_features_by_index() {
    let top = |k, x: &[i64]| eval(&TopK { groups: 1, k, limbs: 2 }, &[x], 2 * k as usize);
    assert_eq!(top(2, &[5, 7, 7, -1]).unwrap(), [7, 7, 1, 2]);
    assert_eq!(top(4, &[5, 7, 7, -1]).unwrap(), [7, 7, 5, -1, 1, 2, 0, 3]);
    assert!(top(5, &[5, 7, 7, -1]).is_err() && top(0, &[5]).is_err() && top(1, &[0, 128]).is_err());
}

#[test]
fn one_hots_and_bits() {
    let hot = |x: &[i64]| eval(&OneHot { depth: 3 }, &[x], 3 * x.len());
    assert_eq!(hot(&[2, 0]).unwrap(), [0, 0, 1, 1, 0, 0]);
    assert!(hot(&[3]).is_err() && hot(&[-1]).is_err() && eval(&OneHot { depth: 0 }, &[&[0]], 0).is_err());
    let bits = |x: &[i64]| eval(&Bits { count: 3 }, &[x], 3 * x.len());
    assert_eq!(bits(&[6, 1]).unwrap(), [0, 1, 1, 1, 0, 0]);
    assert!(bits(&[8]).is_err() && bits(&[-1]).is_err() && eval(&Bits { count: 63 }, &[&[1]], 63).is_err());
}

#[test]
fn div_rounds_down() {
    let div = |x: &[i64], z: &[i64]| eval(&Div { limbs: 1, rest_limbs: 1 }, &[x, z], x.len());
    assert_eq!(div(&[7, -7, 7, 3], &[2, 2, 1, 16]).unwrap(), [3, -4, 7, 0]);
    assert!(div(&[1], &[0]).is_err() && div(&[1], &[-1]).is_err() && div(&[1], &[17]).is_err());
    assert!(div(&[8], &[1]).is_err() && div(&[-9], &[1]).is_err());
}

#[test]
fn roots_round_down() {
    let root = |x: &[i64]| eval(&Root { limbs: 1, rest_limbs: 2 }, &[x], x.len());
    assert_eq!(root(&[0, 1, 3, 4, 8, 9, 255]).unwrap(), [0, 1, 1, 2, 2, 3, 15]);
    assert!(root(&[-1]).is_err() && root(&[256]).is_err());
    // Twice the root must fit the limbs of the rest.
    let root = |x: &[i64]| eval(&Root { limbs: 2, rest_limbs: 1 }, &[x], x.len());
    assert_eq!(root(&[63]).unwrap(), [7]);
    assert!(root(&[64]).is_err());
    assert!(eval(&Root { limbs: 15, rest_limbs: 15 }, &[&[i64::MAX]], 1).is_ok());
}

#[test]
fn limbs_beyond_the_integers_are_refused() {
    for limbs in [0, 16, u32::MAX] {
        assert!(eval(&Step { limbs }, &[&[1]], 1).is_err());
        assert!(eval(&Max { groups: 1, limbs }, &[&[1]], 1).is_err());
        assert!(eval(&FloorDiv { divisor: 2, limbs }, &[&[1]], 1).is_err());
        assert!(eval(&Normalise { limbs }, &[&[1]], 2).is_err());
        assert!(eval(&Root { limbs, rest_limbs: 1 }, &[&[1]], 1).is_err());
        assert!(eval(&Root { limbs: 1, rest_limbs: limbs }, &[&[1]], 1).is_err());
        assert!(eval(&TopK { groups: 1, k: 1, limbs }, &[&[1]], 2).is_err());
    }
}

/// Every op with operands of these widths and a result of that many features.
fn all() -> Vec<(Op, Vec<usize>, usize)> {
    vec![
        (Step { limbs: 3 }.into(), vec![6], 6),
        (Max { groups: 2, limbs: 3 }.into(), vec![6], 2),
        (FloorDiv { divisor: 7, limbs: 3 }.into(), vec![6], 6),
        (MatMul { batch: 1, rows: 2, inner: 3, cols: 2 }.into(), vec![6, 6], 4),
        (Normalise { limbs: 3 }.into(), vec![6], 12),
        (TopK { groups: 2, k: 2, limbs: 4 }.into(), vec![6], 8),
        (OneHot { depth: 2000 }.into(), vec![2], 4000),
        (Bits { count: 11 }.into(), vec![3], 33),
        (Div { limbs: 3, rest_limbs: 3 }.into(), vec![6, 6], 6),
        (Root { limbs: 2, rest_limbs: 2 }.into(), vec![6], 6),
    ]
}

proptest! {
    /// Whatever the operands within their bounds, the result is within its.
    #[test]
    fn results_lie_within_their_ranges(
        ends in proptest::collection::vec((1i64..1000, 0i64..1000), 12),
        at in proptest::collection::vec(0f64..=1.0, 12),
        sign in proptest::collection::vec(any::<bool>(), 12),
    ) {
        for (op, widths, features) in all() {
            let Op::Gadget(gadget) = &op else { continue };
            let positive = matches!(
                gadget,
                Gadget::Normalise(_) | Gadget::OneHot(_) | Gadget::Bits(_) | Gadget::Div(_) | Gadget::Root(_)
            );
            let (mut args, mut ranges, mut first) = (Vec::new(), Vec::new(), 0);
            for &width in &widths {
                let each = first..first + width;
                let flip = |i: usize| sign[i] && !positive;
                let lo: Vec<i64> = each.clone().map(|i| if flip(i) { -ends[i].0 - ends[i].1 } else { ends[i].0 }).collect();
                let hi: Vec<i64> = each.clone().map(|i| if flip(i) { -ends[i].0 } else { ends[i].0 + ends[i].1 }).collect();
                let x = |(k, i): (usize, usize)| lo[k] + ((hi[k] - lo[k]) as f64 * at[i]) as i64;
                args.push(each.enumerate().map(x).collect::<Vec<i64>>());
                ranges.push(Range::new(lo, hi));
                first += width;
            }
            let site = site(&widths, features);
            let op = gadget.meaning();
            prop_assert_eq!(op.check(&site), Ok(()));
            let range = op.range(&site, &ranges.iter().collect::<Vec<_>>()).unwrap();
            let args: Vec<&[i64]> = args.iter().map(Vec::as_slice).collect();
            let mut out = vec![0; features];
            op.eval(&site, &args, &mut out).unwrap();
            prop_assert_eq!(range.lo.len(), features);
            for (j, y) in out.iter().enumerate() {
                prop_assert!((range.lo[j]..=range.hi[j]).contains(y), "{} feature {}: {}", op.name(), j, y);
            }
            let norm = out.iter().map(|&y| (y as f64).powi(2)).sum::<f64>().sqrt();
            prop_assert!(norm <= range.norm, "{}: norm {} > {}", op.name(), norm, range.norm);
        }
    }

    /// Operands outside the domain are an error of the analysis too.
    #[test]
    fn ranges_refuse_what_evaluation_refuses(x in -70_000i64..70_000, y in -70_000i64..70_000) {
        let widths = [2];
        let ops: [(&dyn Meaning, usize); 7] = [
            (&Step { limbs: 2 }, 2),
            (&Max { groups: 1, limbs: 2 }, 1),
            (&FloorDiv { divisor: 5, limbs: 2 }, 2),
            (&Normalise { limbs: 2 }, 4),
            (&TopK { groups: 1, k: 1, limbs: 2 }, 2),
            (&OneHot { depth: 50_000 }, 100_000),
            (&Bits { count: 16 }, 32),
        ];
        for (op, features) in ops {
            let site = site(&widths, features);
            let range = op.range(&site, &[&Range::new(vec![x, y], vec![x, y])]);
            let value = op.eval(&site, &[&[x, y]], &mut vec![0; features]);
            prop_assert_eq!(range.is_ok(), value.is_ok(), "{}: {:?} {:?}", op.name(), range, value);
        }
    }

    #[test]
    fn normal_form_is_the_only_one(x in 1i64..1 << 40) {
        let (m, e) = {
            let out = eval(&Normalise { limbs: 10 }, &[&[x]], 2).unwrap();
            (i128::from(out[0]), out[1])
        };
        let scaled = i128::from(x) << BITS;
        prop_assert!((0..1 << BITS).contains(&m));
        prop_assert!((m + (1 << BITS)) << e <= scaled && scaled < (m + 1 + (1 << BITS)) << e);
    }
}
