//! Gumbel noise: it makes the place of the greatest score a draw.
//!
//! With independent standard Gumbel variates `g[j]`, the greatest `score[j] + T g[j]` is at j with the probability
//! `softmax(score / T)[j]` (Maddison, Tarlow and Minka, "A* Sampling", 2014, section 2). The noise is public: whoever
//! knows the random bits computes it, so a proof of the greatest sum is a proof of the draw.

use std::sync::LazyLock;

/// Bits behind the binary point of a variate.
const FRACTION: u32 = 24;

/// Bits by which variates of one exponent differ.
const MANTISSA: u32 = 10;

/// Exponents that differ: rarer ones, of probability 2^-39 in all, count as the last.
const EXPONENTS: u32 = 40;

/// Greatest temperature, in thousandths.
pub const MAX_TEMPERATURE: u32 = 100_000;

/// `-ln(-ln(1 - v))` times `2^FRACTION` by exponent and mantissa of v, in double precision with functions of the pure Rust
/// `libm`: the same integers on every machine.
static VARIATES: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let variate = |index: u32| {
        let (exponent, mantissa) = (index >> MANTISSA, index & ((1 << MANTISSA) - 1));
        let v =
            (1.0 + (f64::from(mantissa) + 0.5) / f64::from(1 << MANTISSA)) * libm::ldexp(1.0, -(exponent as i32) - 1);
        (-libm::log(-libm::log1p(-v)) * f64::from(1 << FRACTION)).round() as i64
    };
    (0..EXPONENTS << MANTISSA).map(variate).collect()
});

/// A standard Gumbel variate times `2^24`, of 64 uniform bits. They stand for a number v in (0, 1): the first 1 says
/// between which powers of two it lies, the ten bits behind it say where, and the variate is `-ln(-ln(1 - v))` in the
/// middle of what is left.
pub fn variate(bits: u64) -> i64 {
    let exponent = bits.leading_zeros().min(EXPONENTS - 1);
    let mantissa = (bits << (exponent + 1)) >> (64 - MANTISSA);
    VARIATES[(exponent as usize) << MANTISSA | mantissa as usize]
}

/// What is added to a score of scale `scale` at a temperature of so many thousandths: `round(T g scale)` with g of
/// [`variate`], in double precision, halves away from 0.
pub fn noise(bits: u64, thousandths: u32, scale: f64) -> i64 {
    scaled(variate(bits), thousandths, scale)
}

/// The least and the greatest noise up to this temperature.
pub fn range(thousandths: u32, scale: f64) -> (i64, i64) {
    (noise(u64::MAX, thousandths, scale), noise(0, thousandths, scale))
}

fn scaled(variate: i64, thousandths: u32, scale: f64) -> i64 {
    let factor = f64::from(thousandths) * scale / 1000.0;
    (variate as f64 * factor / f64::from(1 << FRACTION)).round() as i64
}

/// A temperature in thousandths; `None` unless it is a whole number of them, more than none and at most
/// [`MAX_TEMPERATURE`].
pub fn thousandths(temperature: f64) -> Option<u32> {
    let value = (temperature * 1000.0).round();
    let exact = (temperature * 1000.0 - value).abs() < 1e-6;
    (exact && value >= 1.0 && value <= f64::from(MAX_TEMPERATURE)).then_some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int::ops::argmax;
    use rand::{RngCore, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    /// Draws of the greatest sum against softmax(scores / T), by Pearson's chi-square.
    fn chi_square(scores: &[f64], thousandths: u32, scale: f64, draws: usize) -> f64 {
        let integers: Vec<i64> = scores.iter().map(|s| (s * scale).round() as i64).collect();
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(thousandths));
        let mut counts = vec![0usize; scores.len()];
        for _ in 0..draws {
            let sums: Vec<i64> = integers.iter().map(|s| s + noise(rng.next_u64(), thousandths, scale)).collect();
            counts[argmax::row(&sums).0] += 1;
        }
        let temperature = f64::from(thousandths) / 1000.0;
        let weights: Vec<f64> = integers.iter().map(|s| libm::exp(*s as f64 / scale / temperature)).collect();
        let total: f64 = weights.iter().sum();
        let expected = weights.iter().map(|w| w / total * draws as f64);
        counts.iter().zip(expected).map(|(n, e)| (*n as f64 - e).powi(2) / e).sum()
    }

    #[test]
    fn the_greatest_sum_is_drawn_as_the_softmax_says() {
        let scores = [2.0, 1.5, 0.0, -1.0, 1.0, -2.5, 0.5, 1.9];
        // The upper 1e-4 point of chi-square with 7 degrees of freedom.
        let limit = 29.88;
        for thousandths in [500, 1000, 2000] {
            let found = chi_square(&scores, thousandths, 256.0, 200_000);
            println!("T = {thousandths} / 1000: chi-square {found:.1} (limit {limit})");
            assert!(found < limit, "{found}");
        }
        let close = scores.map(|s| s / 100.0);
        assert!(chi_square(&close, 10, 65_536.0, 50_000) < limit);
        // Where noise has a few integers only, equal sums favour the first.
        assert!(chi_square(&close, 10, 64.0, 50_000) > limit);
    }

    /// Half of all tokens of a large vocabulary, each of probability 2^-18, are drawn as often as one of 1/2.
    #[test]
    fn rare_tokens_have_their_share() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (scale, tokens, draws) = (256.0, 1 << 17, 400);
        let likely = (libm::log(tokens as f64) * scale).round() as i64;
        let first = (0..draws).filter(|_| {
            let lead = likely + noise(rng.next_u64(), 1000, scale);
            (0..tokens).all(|_| noise(rng.next_u64(), 1000, scale) <= lead)
        });
        // Four standard deviations of a fair coin.
        let first = first.count();
        assert!(first.abs_diff(draws / 2) <= 40, "{first} of {draws}");
    }

    #[test]
    fn a_variate_falls_with_its_number_and_stays_in_range() {
        assert!(variate(u64::MAX) < variate(1 << 63) && variate(1 << 63) < variate(1));
        assert_eq!((variate(0), variate(1)), (variate(1 << 24), variate(1 << 24)), "the rarest are one");
        let ends = [VARIATES.iter().min(), VARIATES.iter().max()].map(|end| scaled(*end.unwrap(), 1000, 256.0));
        assert_eq!(range(1000, 256.0), (ends[0], ends[1]));
    }

    /// Other integers would be another statement.
    #[test]
    fn variates_are_pinned() {
        let sum = VARIATES.iter().fold(0i64, |sum, v| sum.wrapping_mul(31).wrapping_add(*v));
        assert_eq!((VARIATES[0], VARIATES.len(), sum), (6_137_249, 40_960, -7_841_303_395_416_234_929));
    }

    #[test]
    fn temperatures_are_thousandths() {
        assert_eq!(thousandths(0.7), Some(700));
        assert_eq!([0.0, -1.0, 0.0005, 0.70001, 1e6, f64::NAN].map(thousandths), [None; 6]);
    }
}
