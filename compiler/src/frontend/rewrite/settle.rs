//! Inputs of one element that decide which nodes run: fixed to their value in the sample data.

use super::{
    dims,
    net::{Net, Rewritten},
    node::Parts,
    refuse::{is_single, sources},
};
use std::collections::BTreeMap;

/// Makes such inputs constants, with a note; says whether there were any. `seen` holds the value of each input that has
/// one value only in the sample data.
pub(super) fn settle(net: &mut Net<'_>, seen: &BTreeMap<String, f64>) -> Rewritten<bool> {
    let deciding = |node: &tract_onnx::pb::NodeProto| match (&node.domain[..], &node.op_type[..]) {
        ("", "If") => 1,
        ("", "Loop") => 2,
        _ => 0,
    };
    let mut found = BTreeMap::new();
    for node in &net.graph.node {
        for slot in 0..deciding(node) {
            let inputs = sources(net, node.at(slot));
            if inputs.iter().all(|input| is_single(input) && seen.contains_key(&input.name)) {
                found.extend(inputs.iter().map(|input| (input.name.clone(), seen[&input.name])));
            }
        }
    }
    if found.len() == net.graph.input.len() {
        return Ok(false);
    }
    for (name, value) in &found {
        let Some(place) = net.graph.input.iter().position(|input| input.name == *name) else { continue };
        let input = net.graph.input.remove(place);
        let value = dims::filled(&input, *value).map_err(|e| format!("input \"{name}\": {e}; correct the model"))?;
        net.set_constant(name, &value)?;
        net.notes.push(format!(
            "the input \"{name}\" decides which nodes run: it is fixed to its value in the sample data; \
             `--set {name}=VALUE` fixes it to another one"
        ));
    }
    Ok(!found.is_empty())
}
