//! Products with hidden matrices: Linear, Embed, TokenBias. Their outputs have no cell until something reads them.

use crate::emit::{Emitter, operand_error, weight_shape};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use crate::hidden::{GroupShape, Product};
use crate::space::{Signature, StripGate, Where, column, constant};
use nanozk_ir::int::{Op, ValueId};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// `x W + 1 bias`.
    pub fn lower_linear(&mut self, id: ValueId, weight: u32, bias: Option<u32>) -> Result<Vec<Expr>, LayoutError> {
        let operand = self.input(id, 0)?;
        let features = self.node(operand).features;
        let inputs = (0..features as usize).map(|f| self.value(operand, f)).collect();
        let mut products = vec![self.matrix(id, weight, inputs)?];
        if let Some(bias) = bias {
            let one = vec![self.constant(1)];
            products.push(self.matrix(id, bias, one)?);
        }
        let outputs = self.node(id).features;
        Ok(self.group(id, GroupShape::Matrix { outputs }, products))
    }

    /// One-hot tokens times the table.
    pub fn lower_embed(&mut self, id: ValueId, weight: u32, vocab: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let operand = self.input(id, 0)?;
        let Op::Input { port } = self.node(operand).op else {
            return Err(operand_error(node, "its operand is not an input port".into()));
        };
        let spec = self.ports.inputs.get(port as usize);
        let Some(spec) = spec.filter(|spec| spec.features == 1) else {
            return Err(operand_error(node, format!("input {port} must hold one token id per position")));
        };
        let inputs = if spec.public {
            let run = self.public(Public::OneHot { port: Port::Input(port), count: vocab });
            (0..vocab).map(|i| Expr::atom(Atom::Public(run, i))).collect()
        } else {
            self.hidden_one_hot(id, operand, vocab)
        };
        let product = self.matrix(id, weight, inputs)?;
        Ok(self.group(id, GroupShape::Matrix { outputs: node.features }, vec![product]))
    }

    /// Cells that are 1 at the hidden token id and 0 elsewhere.
    ///
    /// Uniqueness: every cell is 0 or 1 and they add up to 1, so one cell is 1; its index is the id.
    fn hidden_one_hot(&mut self, id: ValueId, operand: ValueId, vocab: u32) -> Vec<Expr> {
        let signature = Signature {
            name: "one-hot".into(),
            columns: vec!["is token".into()],
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
        let (strip, first) = self.strip(signature, vocab);
        let cells = self.cells(strip, 0, first, vocab);
        self.fill(&cells, id, Part::IsMax, 0, 0, None);
        let cells: Vec<Expr> = cells.into_iter().map(Expr::atom).collect();
        let weighted = |factor: &dyn Fn(i128) -> i128| Expr::sum(cells.iter().zip((0..).map(factor)));
        let (count, index) = (weighted(&|_| 1), weighted(&|i| i));
        let token = self.values[operand as usize][0].clone();
        self.define(count.plus(&self.constant(1), -1));
        self.define(index.plus(&token, -1));
        cells
    }

    /// Positions times the matrix.
    pub fn lower_token_bias(&mut self, id: ValueId, weight: u32) -> Result<Vec<Expr>, LayoutError> {
        let run = self.public(Public::Position);
        let inputs = (0..self.tokens).map(|i| Expr::atom(Atom::Public(run, i))).collect();
        let product = self.matrix(id, weight, inputs)?;
        Ok(self.group(id, GroupShape::Matrix { outputs: self.node(id).features }, vec![product]))
    }

    fn matrix(&self, id: ValueId, weight: u32, inputs: Vec<Expr>) -> Result<Product, LayoutError> {
        let node = self.node(id);
        let shape = weight_shape(self.graph, node, weight)?;
        let wanted = (inputs.len() as u32, node.features);
        if shape != wanted {
            let reason = format!("weight {weight} is {} x {}, expected {} x {}", shape.0, shape.1, wanted.0, wanted.1);
            return Err(operand_error(node, reason));
        }
        Ok(Product::Matrix { weight, inputs, outputs: node.features, scale: 1 })
    }
}
