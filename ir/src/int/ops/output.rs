//! Ports that a layer writes.

use super::{Meaning, Misfit, Numbers, Port, Site, operands, tensor};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Port of the layer: writes the operand to a boundary tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// Index into the layer's `outputs`.
    pub port: u32,
}

impl Meaning for Output {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 1)?;
        tensor(site, Port::Output(self.port))
    }

    fn eval(&self, _: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        Ok(args[0].to_vec())
    }

    fn range(&self, _: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        Ok(args[0].clone())
    }

    fn port(&self) -> Option<Port> {
        Some(Port::Output(self.port))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }
}
