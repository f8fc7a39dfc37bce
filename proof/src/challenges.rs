//! The challenges of a layer that are drawn before its Halo2 proof.

use crate::field::{Fr, power, series};
use ff::Field;
use nanozk_plan::{Monomial, functional::Exponents};

/// Drawn after the lanes are committed.
#[derive(Clone, Copy, Debug)]
pub struct Challenges {
    /// Compresses tokens.
    pub theta: Fr,
    /// Separates outputs of products.
    pub rho: Fr,
    /// Compresses key tokens.
    pub eta: Fr,
    inverses: [Fr; 3],
}

impl Challenges {
    /// `None` if a challenge is 0 (probability 3/p), which has no inverse.
    pub fn new(theta: Fr, rho: Fr, eta: Fr) -> Option<Self> {
        let inverse = |x: Fr| Option::<Fr>::from(x.invert());
        Some(Challenges { theta, rho, eta, inverses: [inverse(theta)?, inverse(rho)?, inverse(eta)?] })
    }

    /// `rho^a eta^b`.
    pub fn monomial(&self, rho: i64, eta: i64) -> Fr {
        power(self.rho, self.inverses[1], rho) * power(self.eta, self.inverses[2], eta)
    }

    /// The factors of `count` repetitions.
    pub fn monomials(&self, m: &Monomial, count: u32) -> Vec<Fr> {
        let step = self.monomial(m.rho.1 as i64, m.eta.1 as i64);
        let first = self.monomial(m.rho.0 as i64, m.eta.0 as i64);
        series(first, step, count as usize)
    }
}

/// Drawn after V, A, B and the folded weights are committed: separates all equations.
#[derive(Clone, Copy, Debug)]
pub struct Lambda {
    /// The challenge.
    pub value: Fr,
    inverse: Fr,
}

impl Lambda {
    /// `None` if the challenge is 0.
    pub fn new(value: Fr) -> Option<Self> {
        Option::<Fr>::from(value.invert()).map(|inverse| Lambda { value, inverse })
    }

    /// `lambda^exponent`.
    pub fn pow(&self, exponent: i64) -> Fr {
        power(self.value, self.inverse, exponent)
    }

    /// `lambda^l token^t rho^r`, where `token` is theta for the compression of lanes and eta for functionals.
    pub fn weight(&self, ch: &Challenges, exponents: Exponents, compression: bool) -> Fr {
        let (l, t, r) = exponents;
        let token = if compression { power(ch.theta, ch.inverses[0], t) } else { ch.monomial(0, t) };
        self.pow(l) * token * ch.monomial(r, 0)
    }
}
