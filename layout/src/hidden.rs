//! Products with a hidden or second activation operand.

use super::expr::Expr;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::MatMul;

/// How the outputs of a product group map to monomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupShape {
    /// Output j of position p has the monomial `rho^(o + p n + j)` for an n of at least `outputs`; several matrices may
    /// add up.
    Matrix {
        /// Outputs of each position.
        outputs: u32,
        /// Positions.
        positions: u32,
    },
    /// Output `r cols + c` has the monomial `rho^(o + r) eta^c`.
    Pair {
        /// Rows, of all products of the batch.
        rows: u32,
        /// Columns.
        cols: u32,
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

impl GroupShape {
    /// Number of outputs.
    pub fn outputs(&self, tokens: u32) -> u32 {
        match *self {
            GroupShape::Matrix { outputs, positions } => outputs * positions,
            GroupShape::Pair { rows, cols } => rows * cols,
            GroupShape::Scores { heads } => heads * tokens,
            GroupShape::Context { outputs } => outputs,
        }
    }
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
    /// `scale * x W` for each position.
    Matrix {
        /// Index into the layer's weights.
        weight: u32,
        /// The factor of each row of the matrix, `[position, row]`.
        inputs: Vec<Expr>,
        /// Positions that the matrix serves.
        positions: u32,
        /// Columns of the matrix.
        outputs: u32,
        /// Common factor.
        scale: i128,
    },
    /// `scale * x w` element by element.
    Diagonal {
        /// Index into the layer's weights, one column.
        weight: u32,
        /// One factor for each output of the group.
        inputs: Vec<Expr>,
        /// Weights; those of the outputs repeat.
        rows: u32,
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
    /// Products of two activations of one token.
    Pair {
        /// Their sizes.
        sizes: MatMul,
        /// `[batch, rows, inner]`.
        left: Vec<Expr>,
        /// `[batch, inner, cols]`.
        right: Vec<Expr>,
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
