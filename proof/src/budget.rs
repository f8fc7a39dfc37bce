//! The soundness budget, computed from the plans.
//!
//! *Statistical*: the probability, over the challenges, that a false statement passes although every assumption holds;
//! by Schwartz and Zippel, a sum of degrees over the field size. *Computational*: the work to break the assumptions on
//! the curve and the SRS. The two are different things and reported apart.

use crate::{columns::Columns, key_proof::identity::Identity, keys::VerifierKey, linear::Bases};
use nanozk_plan::{Plan, cost::fractions, hiding::FRACTIONS_PER_HELPER};

/// log2 of the order of the scalar field of BLS12-381.
const FIELD_BITS: f64 = 254.857;

/// Work to compute discrete logarithms in the target field of BLS12-381, log2: Guillevic and Singh, 2021, "On the alpha
/// value of polynomials in the tower number field sieve algorithm". Section 11 of docs/protocol.md says why this one.
const CURVE_BITS: f64 = 126.0;

/// Soundness of a model's proofs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// `-log2` of the statistical error, summed over all layers, per attempt.
    pub statistical_bits: f64,
    /// Work to break the curve, log2.
    pub curve_bits: f64,
    /// Work to break the q-type assumption of the SRS by Cheon's attack, log2: half the field less half of the logarithm
    /// of the number of powers that the ceremony of the SRS published.
    pub srs_bits: f64,
}

impl Budget {
    /// Work to break the assumptions, log2: the least of curve and SRS.
    pub fn computational_bits(&self) -> f64 {
        self.curve_bits.min(self.srs_bits)
    }

    /// The least of all.
    pub fn soundness_bits(&self) -> f64 {
        self.statistical_bits.min(self.computational_bits())
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Budget { statistical_bits, curve_bits, srs_bits } = self;
        write!(
            f,
            "statistical {statistical_bits:.0} bits, computational {:.0} bits (curve {curve_bits:.0}, SRS {srs_bits:.0})",
            self.computational_bits()
        )
    }
}

/// Degrees whose sum over the field size bounds the statistical error of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerError {
    /// theta: the degree of a compressed slot.
    pub compression: u64,
    /// rho, eta: the exponents that claims and products reach.
    pub products: u64,
    /// lambda: one power per equation.
    pub equations: u64,
    /// beta, gamma: the numerator of the sum of all fractions, whose denominators have degree 2, and their zeros.
    pub lookups: u64,
    /// y and x of Halo2: constraints, and the degree of the quotient identity over commitments of any degree.
    pub circuit: u64,
    /// x1 to x4 of the batched opening: columns, point sets, the degree of a commitment.
    pub openings: u64,
    /// Challenges that are 0, the span proof, the batching of layers.
    pub single: u64,
}

/// Point sets of the batched opening: x alone, and x with the next row.
const POINT_SETS: u64 = 2;

impl LayerError {
    /// The degrees for a plan. Whoever cheats may commit to polynomials with as many coefficients as the SRS has powers,
    /// however few rows the circuit has; `log_powers` is the logarithm of their number.
    pub fn new(plan: &Plan, log_powers: u32) -> Self {
        let g = &plan.geometry;
        let powers = 1u64 << log_powers.max(g.k);
        let fractions = fractions(plan) as u64;
        let last = |(start, step): (u32, i32), count: u32| {
            (start as i64).max(start as i64 + count as i64 * step as i64) as u64
        };
        let claims = plan.claims.iter().map(|c| (c.monomial, c.count));
        let monomials = claims.chain(plan.operands.iter().map(|o| (o.monomial, o.count)));
        let rho = monomials.clone().map(|(m, count)| last(m.rho, count)).max().unwrap_or(0);
        let eta = monomials.map(|(m, count)| last(m.eta, count)).max().unwrap_or(0);
        let entries = plan.functionals.iter().flat_map(|f| &f.entries).map(|e| e.rho as u64).max().unwrap_or(0);
        let right = plan.right_operands.iter().map(|o| last(o.monomial.rho, o.count) + last(o.monomial.eta, o.count));
        let values = entries + right.max().unwrap_or(0);
        let columns = Columns::new(plan);
        let advice = fractions + plan.tables as u64 + 2;
        let constraints = plan.gates.len() as u64 + fractions + 3;
        let degree = FRACTIONS_PER_HELPER as u64 + 1;
        LayerError {
            compression: g.tokens as u64,
            // A row of A is a polynomial in theta too, and what it multiplies may be one in eta, of T tokens each.
            products: rho + plan.weight_columns as u64 + values + eta + 2 * g.tokens as u64,
            equations: Bases::new(plan).end as u64,
            lookups: 4 * fractions * g.rows() as u64,
            circuit: constraints + degree * powers,
            openings: columns.committed() as u64 + advice + 2 + 2 * POINT_SETS + powers,
            single: 7,
        }
    }

    /// Sum of all degrees.
    pub fn total(&self) -> u64 {
        let LayerError { compression, products, equations, lookups, circuit, openings, single } = self;
        compression + products + equations + lookups + circuit + openings + single
    }
}

/// The budget of a model.
pub fn budget(key: &VerifierKey) -> Budget {
    let log_powers = key.srs.log_powers();
    let degrees: Vec<f64> = key.shapes.iter().map(|shape| degrees([&*shape.plan].into_iter(), log_powers)).collect();
    Budget::new(key.layers.iter().map(|layer| degrees[layer.shape as usize]).sum(), log_powers)
}

/// The budget of the proof over a verifier file: its proofs of ranges, `2^-projections` for the bits of random projections
/// where there are some, `known` columns folded and opened.
pub fn key_budget(key: &VerifierKey, ranges: &[Identity], projections: Option<u32>, known: usize) -> Budget {
    let log_powers = key.srs.log_powers();
    let openings = known as f64 + (1u64 << log_powers) as f64 * key.shapes.len() as f64;
    let identities: f64 = ranges.iter().map(|identity| identity.degree() as f64).sum();
    let projections = projections.map_or(0.0, |bits| ranges.len() as f64 * (FIELD_BITS - f64::from(bits)).exp2());
    let plans = ranges.iter().map(|identity| &*identity.plan);
    Budget::new(degrees(plans, log_powers) + openings + identities + projections, log_powers)
}

/// The budget of layers with these plans under an SRS of `2^log_powers` powers.
pub fn budget_of<'a>(layers: impl Iterator<Item = &'a Plan>, log_powers: u32) -> Budget {
    Budget::new(degrees(layers, log_powers), log_powers)
}

fn degrees<'a>(plans: impl Iterator<Item = &'a Plan>, log_powers: u32) -> f64 {
    plans.map(|plan| LayerError::new(plan, log_powers).total() as f64).sum()
}

impl Budget {
    /// For a sum of degrees.
    fn new(degrees: f64, log_powers: u32) -> Self {
        Budget {
            statistical_bits: FIELD_BITS - degrees.max(1.0).log2(),
            curve_bits: CURVE_BITS,
            srs_bits: (FIELD_BITS - f64::from(log_powers)) / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::STRONGEST_K;
    use nanozk_plan::{Claim, Geometry, Lookup, Monomial, Tag};

    /// By hand, for one lookup in 2^10 rows of 8 tokens.
    #[test]
    fn the_terms_of_a_small_plan() {
        let geometry = Geometry::new(10, 8, 8).expect("fits");
        let plan = Plan {
            geometry,
            lanes: vec![nanozk_plan::Lane { name: String::new(), boundary: None }],
            lookups: vec![Lookup { a: 0, b: None, tag: Tag::Table(0), mask: None }],
            claims: vec![Claim { count: 3, monomial: Monomial { rho: (5, 2), eta: (7, -1) }, terms: vec![] }],
            weight_columns: 4,
            ..Plan::default()
        };
        let error = LayerError::new(&plan, 25);
        assert_eq!(error.compression, 8);
        assert_eq!(error.products, 11 + 4 + 7 + 2 * 8);
        // One equation per slot of V (geometry.groups of them) and per data row of A, and the bilinear one.
        assert_eq!(error.equations, 1 + geometry.groups as u64 + geometry.rows() as u64);
        assert_eq!(error.lookups, 4 * 2 * geometry.rows() as u64);
        assert!(error.circuit > 4 << 25 && error.openings > 1 << 25);
        let budget = budget_of([&plan, &plan].into_iter(), 25);
        let bits = FIELD_BITS - (2.0 * error.total() as f64).log2();
        assert!((budget.statistical_bits - bits).abs() < 1e-9 && budget.statistical_bits > 123.0);
        assert_eq!(budget.srs_bits, (FIELD_BITS - 25.0) / 2.0);
        assert_eq!(budget.computational_bits(), budget.srs_bits.min(CURVE_BITS));
        assert_eq!(budget.soundness_bits(), budget.computational_bits());
        let embedded = budget_of([&plan].into_iter(), STRONGEST_K);
        assert!(embedded.soundness_bits() > 121.0, "{embedded}");
    }
}
