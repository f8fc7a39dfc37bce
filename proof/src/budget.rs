//! The soundness budget, computed from the plans.
//!
//! *Statistical*: the probability, over the challenges, that a false statement passes although every assumption holds;
//! by Schwartz and Zippel, a sum of degrees over the field size. *Computational*: the work to break the assumptions on
//! the curve and the SRS. The two are different things and reported apart.

use crate::{circuit::fractions, columns::Columns, keys::VerifierKey, linear::Bases};
use nanozk_plan::{Plan, hiding::FRACTIONS_PER_HELPER};

/// log2 of the order of the scalar field of BLS12-381.
const FIELD_BITS: f64 = 254.86;

/// Estimate for discrete logarithms in the target field of BLS12-381 (Guillevic and Singh, 2019: about 126 bits;
/// Barbulescu and Duquesne, 2017: 117). The lower one.
const CURVE_BITS: f64 = 117.0;

/// Soundness of a model's proofs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// `-log2` of the statistical error, summed over all layers, per attempt.
    pub statistical_bits: f64,
    /// Work to break the curve, log2.
    pub curve_bits: f64,
    /// Work to break the q-type assumption of the SRS by Cheon's attack, log2: half the field less `k / 2`.
    pub srs_bits: f64,
}

/// Degrees whose sum over the field size bounds the statistical error of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerError {
    /// theta, rho, eta: tokens compressed and outputs separated by powers.
    pub compression: u64,
    /// lambda: one power per equation.
    pub equations: u64,
    /// beta, gamma: poles of the LogUp sum, three for each (beta, gamma, gamma^2).
    pub lookups: u64,
    /// y and x of Halo2: constraints, and the degree of the quotient identity.
    pub circuit: u64,
    /// Batched openings: one power per opened column and point set, and the SRS degree.
    pub openings: u64,
}

impl LayerError {
    /// The degrees for a plan.
    pub fn new(plan: &Plan) -> Self {
        let g = &plan.geometry;
        let n = 1u64 << g.k;
        let fractions = fractions(plan) as u64;
        let reach = |start: u32, step: i32, count: u32| (start as i64 + (count as i64 * step as i64).max(0)) as u64;
        let claims = plan.claims.iter();
        let rho = claims.clone().map(|c| reach(c.monomial.rho.0, c.monomial.rho.1, c.count)).max().unwrap_or(0);
        let eta = claims.map(|c| reach(c.monomial.eta.0, c.monomial.eta.1, c.count)).max().unwrap_or(0);
        let columns = Columns::new(plan);
        let constraints = plan.gates.len() as u64 + fractions + 2 * columns.multipliers as u64 + 3;
        let degree = FRACTIONS_PER_HELPER as u64 + 1;
        LayerError {
            compression: g.tokens as u64 + rho + eta + plan.weight_columns as u64,
            equations: Bases::new(plan).end as u64,
            lookups: 3 * fractions * n,
            circuit: constraints + degree * n,
            openings: columns.committed() as u64 + 4 * fractions + constraints + n,
        }
    }

    /// Sum of all degrees.
    pub fn total(&self) -> u64 {
        self.compression + self.equations + self.lookups + self.circuit + self.openings
    }
}

/// The budget of a model.
pub fn budget(key: &VerifierKey) -> Budget {
    budget_of(key.layers.iter().map(|l| &*key.shapes[l.shape as usize].plan))
}

/// The budget of the proof over a verifier file: `plans` of the proofs of ranges, `known` columns folded and opened.
pub fn key_budget<'a>(key: &VerifierKey, plans: impl Iterator<Item = &'a Plan>, known: usize) -> Budget {
    let k = key.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0);
    let ranges: f64 = plans.map(|p| LayerError::new(p).total() as f64).sum();
    Budget::new(ranges + known as f64 + (1u64 << k) as f64 * key.shapes.len() as f64, k)
}

/// The budget of layers with these plans.
pub fn budget_of<'a>(layers: impl Iterator<Item = &'a Plan> + Clone) -> Budget {
    let total: f64 = layers.clone().map(|p| LayerError::new(p).total() as f64).sum();
    Budget::new(total, layers.map(|p| p.geometry.k).max().unwrap_or(0))
}

impl Budget {
    /// For a sum of degrees, and circuits of up to `2^k` rows.
    fn new(degrees: f64, k: u32) -> Self {
        Budget {
            statistical_bits: FIELD_BITS - degrees.max(1.0).log2(),
            curve_bits: CURVE_BITS,
            srs_bits: (FIELD_BITS - k as f64) / 2.0,
        }
    }
}
