//! Ports that a layer reads.

use super::{Meaning, Misfit, Numbers, Port, Site, operands, tensor};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Port of the layer: a committed boundary tensor (or a public one, by its [`crate::int::Role`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// Index into the layer's `inputs`.
    pub port: u32,
}

impl Meaning for Input {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 0)?;
        tensor(site, Port::Input(self.port))
    }

    fn eval(&self, _: &Site, numbers: &Numbers, _: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        Ok(numbers.inputs[self.port as usize].to_vec())
    }

    fn range(&self, _: &Site, around: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        Ok(around.scope.ports[self.port as usize].clone())
    }

    fn port(&self) -> Option<Port> {
        Some(Port::Input(self.port))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }
}
