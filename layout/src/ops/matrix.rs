//! Products with hidden matrices: Linear, Diagonal, Embed, TokenBias. Their outputs have no cell until something reads
//! them.

use crate::emit::{Emitter, ONE, operand_error, weight_shape};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use crate::hidden::{GroupShape, Product};
use crate::space::{Signature, StripGate, Where, column, constant};
use nanozk_ir::int::{Op, ValueId};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// `x W + 1 bias` for each position.
    pub fn lower_linear(
        &mut self,
        id: ValueId,
        weight: u32,
        bias: Option<u32>,
        positions: u32,
    ) -> Result<Vec<Expr>, LayoutError> {
        let operand = self.input(id, 0)?;
        let features = self.node(operand).features;
        let inputs = (0..features as usize).map(|f| self.value(operand, f)).collect();
        let mut products = vec![self.matrix(id, weight, inputs, positions)?];
        if let Some(bias) = bias {
            let one = vec![self.constant(1); positions as usize];
            products.push(self.matrix(id, bias, one, positions)?);
        }
        Ok(self.matrices(id, products, positions))
    }

    /// `x w + 1 bias` element by element, for each position.
    pub fn lower_diagonal(
        &mut self,
        id: ValueId,
        weight: u32,
        bias: Option<u32>,
        positions: u32,
    ) -> Result<Vec<Expr>, LayoutError> {
        let (operand, features) = (self.input(id, 0)?, self.node(id).features);
        self.expect_features(id, operand, features)?;
        let inputs = (0..features as usize).map(|f| self.value(operand, f)).collect();
        let shape = weight_shape(self.graph, self.node(id), weight)?;
        if positions == 0 || shape.1 != 1 || shape.0.checked_mul(positions) != Some(features) {
            let reason = format!("weight {weight} is {} x {} for {positions} positions", shape.0, shape.1);
            return Err(operand_error(self.node(id), reason));
        }
        let diagonal = Product::Diagonal { weight, inputs, rows: shape.0, scale: 1 };
        let Some(bias) = bias else {
            return Ok(self.matrices(id, vec![diagonal], 1));
        };
        let one = vec![self.constant(1); positions as usize];
        let bias = self.matrix(id, bias, one, positions)?;
        Ok(self.matrices(id, vec![diagonal, bias], positions))
    }

    /// One-hot ids times the table.
    pub fn lower_embed(&mut self, id: ValueId, weight: u32, vocab: u32) -> Result<Vec<Expr>, LayoutError> {
        let operand = self.input(id, 0)?;
        let positions = self.node(operand).features;
        let public = match self.node(operand).op {
            Op::Input { port } if self.boundary_space(Port::Input(port)).is_none() => Some(Port::Input(port)),
            _ => None,
        };
        let inputs = match public {
            Some(port) => (0..positions)
                .flat_map(|feature| {
                    let run = self.public(Public::OneHot { port, feature, count: vocab });
                    (0..vocab).map(move |i| Expr::atom(Atom::Public(run, i)))
                })
                .collect(),
            None => self.one_hots(id, Part::IsMax, operand, vocab),
        };
        let product = self.matrix(id, weight, inputs, positions)?;
        Ok(self.matrices(id, vec![product], positions))
    }

    /// Cells of a quantity that are 1 at the index which each feature of the operand is, and 0 elsewhere.
    ///
    /// Uniqueness: every cell is 0 or 1 and they add up to 1, so one cell is 1; its place is the index.
    pub fn one_hots(&mut self, id: ValueId, part: Part, operand: ValueId, depth: u32) -> Vec<Expr> {
        let cells = self.bits(id, part, depth * self.node(operand).features);
        for (feature, cells) in cells.chunks(depth as usize).enumerate() {
            let count = cells.iter().map(|&cell| (cell, 1));
            self.define(Expr::atoms(count.chain([(ONE, -1)])));
            let index = Expr::atoms(cells.iter().copied().zip(0..));
            self.define(index.plus(&self.values[operand as usize][feature], -1));
        }
        cells.into_iter().map(Expr::atom).collect()
    }

    /// New cells that are 0 or 1.
    pub fn bits(&mut self, id: ValueId, part: Part, count: u32) -> Vec<Atom> {
        let signature = Signature {
            name: "bits".into(),
            columns: vec!["bit".into()],
            lookups: Vec::new(),
            gates: vec![StripGate {
                name: "0 or 1",
                rows: Where::Everywhere,
                a: column(0),
                b: (vec![(0, 1)], -1),
                c: constant(0),
            }],
            spare_raw: None,
        };
        let (strip, first) = self.strip(signature, count);
        let cells = self.cells(strip, 0, first, count);
        self.fill(&cells, id, part, 0, 0, None);
        cells
    }

    /// Tokens times the matrix, or 1 times its row.
    pub fn lower_token_bias(&mut self, id: ValueId, weight: u32) -> Result<Vec<Expr>, LayoutError> {
        let inputs = if weight_shape(self.graph, self.node(id), weight)?.0 == 1 {
            vec![self.constant(1)]
        } else {
            let run = self.public(Public::Position);
            (0..self.tokens).map(|i| Expr::atom(Atom::Public(run, i))).collect()
        };
        let product = self.matrix(id, weight, inputs, 1)?;
        Ok(self.matrices(id, vec![product], 1))
    }

    /// One matrix with its rows' factors, `[position, row]`.
    fn matrix(&self, id: ValueId, weight: u32, inputs: Vec<Expr>, positions: u32) -> Result<Product, LayoutError> {
        let node = self.node(id);
        let equal = |n: u32| positions > 0 && n.is_multiple_of(positions);
        if !equal(inputs.len() as u32) || !equal(node.features) {
            return Err(operand_error(node, format!("{} rows for {positions} positions", inputs.len())));
        }
        let shape = weight_shape(self.graph, node, weight)?;
        let wanted = (inputs.len() as u32 / positions, node.features / positions);
        if shape != wanted {
            let reason = format!("weight {weight} is {} x {}, expected {} x {}", shape.0, shape.1, wanted.0, wanted.1);
            return Err(operand_error(node, reason));
        }
        Ok(Product::Matrix { weight, inputs, positions, outputs: wanted.1, scale: 1 })
    }

    /// The outputs of matrices that add up.
    fn matrices(&mut self, id: ValueId, products: Vec<Product>, positions: u32) -> Vec<Expr> {
        let outputs = self.node(id).features / positions;
        self.group(id, GroupShape::Matrix { outputs, positions }, products)
    }
}
