use ff::{Field, PrimeField};
use group::Group;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::field::int;

fn points(n: usize, rng: &mut ChaCha8Rng) -> Vec<G1> {
    let mut point = G1::generator() * Fr::random(&mut *rng);
    let step = G1::generator() * Fr::random(&mut *rng);
    (0..n)
        .map(|_| {
            point += step;
            point
        })
        .collect()
}

fn naive(points: &[G1], scalars: &[Fr]) -> G1 {
    points.iter().zip(scalars).map(|(point, scalar)| point * scalar).sum()
}

#[test]
fn dense_equals_the_naive_sum() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for n in [0, 1, 2, 3, 31, 257, 1100] {
        let points = points(n, &mut rng);
        let bases = to_affine(&points);
        for zero_share in [0.0, 0.05, 0.9, 1.0] {
            let mut scalars: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
            scalars.iter_mut().filter(|_| rng.gen_bool(zero_share)).for_each(|s| *s = Fr::ZERO);
            if let Some(first) = scalars.first_mut() {
                *first = -Fr::ONE;
            }
            assert_eq!(dense(&bases, &scalars), naive(&points, &scalars), "n = {n}, zeros = {zero_share}");
        }
    }
}

#[test]
fn small_equals_the_naive_sum_for_all_widths() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let points = points(1300, &mut rng);
    let bases = to_affine(&points);
    for n in [1, 2, 5, 700, 1300] {
        for bits in [0, 1, 2, 7, 8, 9, 15, 16, 31, 63] {
            let limit = (1i64 << bits).wrapping_sub(1);
            let mut values: Vec<i64> = (0..n).map(|_| rng.gen_range(-limit..=limit)).collect();
            values[0] = limit;
            values[n - 1] = -limit;
            if n > 2 {
                values[1] = i64::MIN;
                values[2] = i64::MAX;
            }
            let scalars: Vec<Fr> = values.iter().map(|v| int(*v)).collect();
            assert_eq!(small(&bases[..n], &values), naive(&points, &scalars), "n = {n}, bits = {bits}");
        }
    }
}

#[test]
fn lincomb_takes_identities_and_repeated_points() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut points = points(64, &mut rng);
    points[0] = G1::identity();
    points[17] = G1::identity();
    points[18] = points[19];
    points[20] = -points[21];
    let mut scalars: Vec<Fr> = (0..64).map(|_| Fr::random(&mut rng)).collect();
    scalars[18] = scalars[19];
    scalars[20] = scalars[21];
    assert_eq!(lincomb(&points, &scalars), naive(&points, &scalars));
    assert_eq!(lincomb(&points[..1], &scalars), G1::identity());
    assert_eq!(lincomb(&[], &[]), G1::identity());
}

#[test]
fn result_is_independent_of_the_thread_count() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let points = points(1500, &mut rng);
    let bases = to_affine(&points);
    let values: Vec<i64> = (0..1500).map(|_| rng.gen_range(-100..100)).collect();
    let scalars: Vec<Fr> = values.iter().map(|v| int(*v)).collect();
    let expected = naive(&points, &scalars);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            assert_eq!(small(&bases, &values), expected);
            assert_eq!(dense(&bases, &scalars), expected);
        });
    }
}

#[test]
fn to_signed_inverts_int_and_rejects_the_rest() {
    for value in [0, 1, -1, 255, -256, i64::MAX, -i64::MAX] {
        assert_eq!(to_signed(&int(value)), Some(value));
    }
    for value in [Fr::from(1 << 63), -Fr::from(1 << 63), Fr::TWO_INV, Fr::from(u64::MAX) + Fr::ONE] {
        assert_eq!(to_signed(&value), None);
    }
}

#[test]
fn repeated_opposite_and_identity_bases_are_summed() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut points = points(1000, &mut rng);
    points[500] = points[2];
    points[501] = -points[3];
    let with_identity = [&points[..600], &[G1::identity(); 3], &points[600..]].concat();
    for points in [points, with_identity] {
        let bases = to_affine(&points);
        for value in [1i64, -3, 77] {
            let values = vec![value; points.len()];
            let scalars = vec![int(value); points.len()];
            assert_eq!(small(&bases, &values), naive(&points, &scalars));
            assert_eq!(Bases::new(bases.clone().into()).small(&values), naive(&points, &scalars));
        }
    }
}

#[test]
fn long_runs_and_wide_windows_agree_in_both_forms_of_points() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let points = points(6000, &mut rng);
    let bases = to_affine(&points);
    let run = vec![1i16; 6000];
    let wide: Vec<i16> = (0..6000).map(|_| rng.gen_range(-(1 << 14)..=1 << 14)).collect();
    let narrow: Vec<i16> = (0..6000).map(|_| rng.gen_range(-40..=40)).collect();
    for digits in [run, wide, narrow] {
        let scalars: Vec<Fr> = digits.iter().map(|digit| int(i64::from(*digit))).collect();
        let expected = naive(&points, &scalars);
        assert_eq!(buckets::product(&Points::Plain(bases.as_slice().into()), &digits), expected);
        assert_eq!(buckets::product(&Points::new(bases.as_slice().into()), &digits), expected);
    }
}
