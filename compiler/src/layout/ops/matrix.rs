//! Products with hidden matrices: Linear, Embed, TokenBias. Their outputs have no cell until something reads them.

use crate::layout::emit::{Emitter, operand_error, weight_shape};
use crate::layout::error::LayoutError;
use crate::layout::expr::{Atom, Expr};
use crate::layout::hidden::{GroupShape, Product};
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
        if !spec.is_some_and(|spec| spec.public && spec.features == 1) {
            let reason = format!("input {port} must be a public tensor of one token id per position");
            return Err(operand_error(node, reason));
        }
        let run = self.public(Public::OneHot { port: Port::Input(port), count: vocab });
        let inputs = (0..vocab).map(|i| Expr::atom(Atom::Public(run, i))).collect();
        let product = self.matrix(id, weight, inputs)?;
        Ok(self.group(id, GroupShape::Matrix { outputs: node.features }, vec![product]))
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
