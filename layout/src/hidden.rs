//! Products with a hidden or second activation operand.

use super::expr::Expr;
use nanozk_ir::int::ValueId;

/// How the outputs of a product group map to monomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupShape {
    /// Output j has the monomial `rho^(o + j)`; several matrices may add up.
    Matrix {
        /// Outputs.
        outputs: u32,
    },
    /// Output `h T + u` has the monomial `rho^(o + h) eta^(T-1-u)`.
    Scores {
        /// Query heads.
        heads: u32,
    },
    /// Output `h hd + c` has the monomial `rho^(o + h hd + c)`.
    Context {
        /// Outputs.
        outputs: u32,
    },
}

/// Heads of an attention product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: u32,
    /// Key or value heads.
    pub kv: u32,
    /// Features per head.
    pub dim: u32,
}

impl Heads {
    /// Query heads that share one key head.
    pub fn group(&self) -> u32 {
        self.query / self.kv.max(1)
    }
}

/// One product of a group.
#[derive(Clone, Debug)]
pub enum Product {
    /// `scale * x W`, W of `inputs.len()` rows.
    Matrix {
        /// Index into the layer's weights.
        weight: u32,
        /// The factor of each row of the matrix.
        inputs: Vec<Expr>,
        /// Columns of the matrix.
        outputs: u32,
        /// Common factor.
        scale: i128,
    },
    /// Queries times keys.
    Scores {
        /// Queries, `[head, dim]`.
        query: Vec<Expr>,
        /// Heads.
        heads: Heads,
        /// Index of the keys' copies in the space `ETA`.
        keys: u32,
    },
    /// Attention weights times values.
    Context {
        /// Weights, `[head, token]`.
        weights: Vec<Expr>,
        /// Heads.
        heads: Heads,
        /// Index of the values' copies in the space `ROW`.
        values: u32,
    },
}

/// Outputs bound by one range of monomials.
#[derive(Clone, Debug)]
pub struct Group {
    /// Node whose value the outputs are.
    pub node: ValueId,
    /// Map of outputs to monomials.
    pub shape: GroupShape,
    /// Summed products; empty once another group has taken them over.
    pub products: Vec<Product>,
    /// What each output equals, once a consumer has defined it.
    pub bound: Vec<Option<Expr>>,
}
