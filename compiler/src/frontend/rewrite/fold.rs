//! Values that follow from shapes and constants become constants.

use super::{
    facts::Facts,
    net::{Net, Rewritten},
};
use tract_onnx::tract_hir::internal::*;

/// Most elements of a value that is written out.
const MAX_VALUES: usize = 1 << 20;

/// Replaces the nodes whose outputs are all known; says whether there were any.
pub(super) fn fold(net: &mut Net<'_>, facts: &Facts) -> Rewritten<bool> {
    let mut changed = false;
    for node in std::mem::take(&mut net.graph.node) {
        let outputs = node.output.iter().filter(|o| !o.is_empty());
        let value = |name: &String| Some((name.clone(), facts.value(name).filter(foldable)?));
        let values: Option<Vec<(String, Tensor)>> = outputs.map(value).collect();
        match values.filter(|v| !v.is_empty()) {
            Some(values) => {
                values.iter().try_for_each(|(name, value)| net.set_constant(name, value))?;
                changed = true;
            }
            None => net.graph.node.push(node),
        }
    }
    Ok(changed)
}

fn foldable(value: &Tensor) -> bool {
    let types = [DatumType::F32, DatumType::I64, DatumType::I32, DatumType::Bool, DatumType::U8, DatumType::I8];
    value.len() <= MAX_VALUES && types.contains(&value.datum_type())
}
