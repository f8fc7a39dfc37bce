//! What several ops read: ports, and the layer's parameters.

use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use nanozk_ir::int::{ValueId, ops::Misfit};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// The cells of a committed port, or the public slots of another one.
    pub fn port_cells(&mut self, id: ValueId, port: Port, features: u32) -> Result<Vec<Atom>, LayoutError> {
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
            return Err(operand_error(node, Misfit::PortWidth { features, tensor: spec.features }));
        }
        if let Some(space) = self.boundary_space(port) {
            return Ok((0..features).map(|i| Atom::Cell(space, i)).collect());
        }
        let run = self.public(Public::Tensor { port, features });
        Ok((0..features).map(|i| Atom::Public(run, i)).collect())
    }

    /// The public slots of `count` parameters.
    pub fn params(&mut self, first: u32, count: u32) -> Vec<Expr> {
        let run = self.public(Public::Param { first, count });
        (0..count).map(|i| Expr::atom(Atom::Public(run, i))).collect()
    }
}
