//! What remains of a layer's verification when all is read: two equations in the group. Those of many layers are
//! checked with one multi-scalar product on each side of one pairing.

use crate::{
    error::LayerError,
    field::{Bls12, Fr, G1, G1Affine},
    msm,
    srs::SrsVerifierPart,
};
use ff::Field;
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::poly::kzg::msm::DualMSM;
use halo2curves::{
    G2Affine, G2Prepared,
    pairing::{MillerLoopResult, MultiMillerLoop},
};
use nanozk_mutants::mutant;
use rand_core::RngCore;
use std::collections::HashMap;

/// The group equations of one layer.
#[derive(Clone, Debug)]
pub struct LayerGuard {
    /// Halo2's batched opening: `s` times the left sum is the right one.
    pub(crate) opening: DualMSM<Bls12>,
    /// Terms that add up to 0 if the weight fold is that of the committed weights.
    pub(crate) weights: Vec<(Fr, G1)>,
}

impl LayerGuard {
    /// Checks both equations of this layer alone.
    ///
    /// # Errors
    /// The one that does not hold.
    pub fn check(&self, srs: &SrsVerifierPart) -> Result<(), LayerError> {
        let [mut left, mut right, mut weights] = <[Terms; 3]>::default();
        weights.add(Fr::ONE, self.weight_terms());
        if !bool::from(weights.sum().is_identity()) {
            return Err(LayerError::Weights);
        }
        self.add_opening(Fr::ONE, [&mut left, &mut right]);
        if pairing_holds(srs, left.sum(), right.sum()) {
            return Ok(());
        }
        Err(LayerError::Rejected("the opening does not hold".into()))
    }

    /// Adds `factor` times the sides of the opening to two sums.
    fn add_opening(&self, factor: Fr, sums: [&mut Terms; 2]) {
        let (left, right) = self.opening.split();
        for (sum, side) in sums.into_iter().zip([left, right]) {
            sum.add(factor, side.into_iter().map(|(_, scalar, point)| (scalar, point)));
        }
    }

    fn weight_terms(&self) -> impl Iterator<Item = (&Fr, &G1)> {
        self.weights.iter().map(|(scalar, point)| (scalar, point))
    }
}

/// Whether all equations of all layers hold; every one gets its own coefficient from `rng`, whose seed depends on all of
/// them. A defect of any passes with probability 1/p.
pub fn check_all(guards: &[LayerGuard], srs: &SrsVerifierPart, rng: &mut impl RngCore) -> bool {
    let (mut left, mut right) = (Terms::default(), Terms::default());
    let mut coefficient = || mutant!(EqualCoefficients, Fr::random(&mut *rng), Fr::ONE);
    for guard in guards {
        let (opening, weights) = (coefficient(), coefficient());
        guard.add_opening(opening, [&mut left, &mut right]);
        right.add(weights, guard.weight_terms());
    }
    let (left, right) = rayon::join(|| left.sum(), || right.sum());
    pairing_holds(srs, left, right)
}

/// A sum of multiples of points.
#[derive(Default)]
struct Terms {
    scalars: Vec<Fr>,
    points: Vec<G1>,
}

impl Terms {
    /// Adds `factor` times these terms.
    fn add<'a>(&mut self, factor: Fr, terms: impl Iterator<Item = (&'a Fr, &'a G1)>) {
        for (scalar, point) in terms {
            self.scalars.push(factor * scalar);
            self.points.push(*point);
        }
    }

    /// The sum. Keys that several layers share and tensors between two layers are multiplied once.
    fn sum(&self) -> G1 {
        let mut index: HashMap<[[u64; 6]; 2], usize> = HashMap::with_capacity(self.points.len());
        let (mut points, mut scalars): (Vec<G1Affine>, Vec<Fr>) = Default::default();
        for (point, scalar) in msm::to_affine(&self.points).into_iter().zip(&self.scalars) {
            let raw = point.as_ref();
            let at = *index.entry([raw.x.l, raw.y.l]).or_insert(points.len());
            if at == points.len() {
                points.push(point);
                scalars.push(*scalar);
            } else {
                scalars[at] += scalar;
            }
        }
        msm::dense(&points, &scalars)
    }
}

/// `e(left, [s]_2) = e(right, [1]_2)`.
pub(crate) fn pairing_holds(srs: &SrsVerifierPart, left: G1, right: G1) -> bool {
    let (left, right) = (left.to_affine(), right.to_affine());
    let terms = [(&left, &G2Prepared::from(srs.s_g2())), (&right, &G2Prepared::from(-G2Affine::generator()))];
    bool::from(Bls12::multi_miller_loop(&terms).final_exponentiation().is_identity())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::Srs;
    use halo2_proofs::poly::kzg::msm::MSMKZG;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// One defect each, in the equation of the weights or in the opening; alone it is seen, and so it is beside its
    /// opposite in another layer, or in the other equation of the same layer.
    #[test]
    fn defects_that_cancel_are_seen() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let srs = *Srs::generate_unsafe(2, &mut rng).unwrap().verifier_part();
        let defect = G1::generator() * Fr::from(7);
        let guard = |opening: Option<Fr>, weights: Option<Fr>| {
            let side = |factor: Option<Fr>| MSMKZG::from_base(&(defect * factor.unwrap_or(Fr::ZERO)));
            LayerGuard {
                opening: DualMSM::new(side(None), side(opening)),
                weights: vec![(weights.unwrap_or(Fr::ZERO), defect)],
            }
        };
        let mut holds = |guards: &[LayerGuard]| check_all(guards, &srs, &mut ChaCha20Rng::from_rng(&mut rng).unwrap());
        let (plus, minus) = (Some(Fr::ONE), Some(-Fr::ONE));
        assert!(holds(&[guard(None, None), guard(None, None)]));
        assert!(!holds(&[guard(plus, None)]) && !holds(&[guard(None, plus)]));
        for pair in [
            [guard(plus, None), guard(minus, None)],
            [guard(None, plus), guard(None, minus)],
            [guard(plus, None), guard(None, minus)],
            [guard(plus, minus), guard(None, None)],
        ] {
            assert!(!holds(&pair), "two defects cancel in the batch");
        }
    }
}
