//! Ports and public values: Input, Output, Const, Param.

use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use nanozk_ir::int::{Op, ValueId};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// The cells of the committed tensor, or its public slots.
    pub fn lower_input(&mut self, id: ValueId, port: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let only_tokens = self.consumers[id as usize].iter().all(|&c| matches!(self.node(c).op, Op::Embed { .. }));
        let public = self.boundary_space(Port::Input(port)).is_none();
        if public && only_tokens && !self.consumers[id as usize].is_empty() {
            return Ok(vec![Expr::default(); node.features as usize]);
        }
        let cells = self.port_cells(id, Port::Input(port), node.features)?;
        if self.boundary_space(Port::Input(port)).is_some() {
            self.fill(&cells, id, Part::Value, 0, 0, None);
        }
        Ok(cells.into_iter().map(Expr::atom).collect())
    }

    /// Ties the operand to the committed tensor's cells or the public slots.
    pub fn lower_output(&mut self, id: ValueId, port: u32) -> Result<Vec<Expr>, LayoutError> {
        let operand = self.input(id, 0)?;
        if matches!(self.node(operand).op, Op::ArgMax { .. }) && self.winners_port(operand).is_some() {
            return Ok(Vec::new());
        }
        let features = self.node(operand).features;
        let cells = self.port_cells(id, Port::Output(port), features)?;
        if self.boundary_space(Port::Output(port)).is_some() {
            self.fill(&cells, operand, Part::Value, 0, 0, None);
        }
        for (feature, cell) in cells.into_iter().enumerate() {
            let expr = Expr::atom(cell).plus(&self.values[operand as usize][feature], -1);
            self.define(expr);
        }
        Ok(Vec::new())
    }

    fn port_cells(&mut self, id: ValueId, port: Port, features: u32) -> Result<Vec<Atom>, LayoutError> {
        let (specs, index) = match port {
            Port::Input(i) => (&self.ports.inputs, i),
            Port::Output(i) => (&self.ports.outputs, i),
        };
        let node = self.node(id);
        let spec = specs.get(index as usize).copied().ok_or_else(|| LayoutError::Port {
            node: node.name.clone(),
            port: index,
            count: specs.len(),
        })?;
        if spec.features != features {
            let reason = format!("its value has {features} features, the tensor of the port {}", spec.features);
            return Err(operand_error(node, reason));
        }
        if let Some(space) = self.boundary_space(port) {
            return Ok((0..features).map(|i| Atom::Cell(space, i)).collect());
        }
        let run = self.public(Public::Tensor { port, features });
        Ok((0..features).map(|i| Atom::Public(run, i)).collect())
    }

    /// Constants: of one row as factors of the public 1, else as public slots.
    pub fn lower_const(&mut self, id: ValueId, rows: u32, data: &[i64]) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let features = node.features;
        if data.len() != rows as usize * features as usize || (rows != 1 && rows != self.tokens) {
            let reason = format!("{} constants for {rows} rows of {features} features", data.len());
            return Err(operand_error(node, reason));
        }
        if rows == 1 {
            return Ok(data.iter().map(|&v| self.constant(v as i128)).collect());
        }
        let run = self.public(Public::Const { rows, features, data: data.to_vec() });
        Ok((0..features).map(|i| Expr::atom(Atom::Public(run, i))).collect())
    }

    /// Public slots of the layer's parameters.
    pub fn lower_param(&mut self, id: ValueId, first: u32) -> Result<Vec<Expr>, LayoutError> {
        let features = self.node(id).features;
        self.params(id, first, features)
    }

    /// The public slots of `count` parameters.
    pub fn params(&mut self, id: ValueId, first: u32, count: u32) -> Result<Vec<Expr>, LayoutError> {
        if first.checked_add(count).is_none_or(|end| end > self.graph.params) {
            let reason = format!("parameters {first}.. exceed the layer's {}", self.graph.params);
            return Err(operand_error(self.node(id), reason));
        }
        let run = self.public(Public::Param { first, count });
        Ok((0..count).map(|i| Expr::atom(Atom::Public(run, i))).collect())
    }
}
