//! Structural checks of a layer, so that evaluation can index without care.

use super::Error;
use crate::int::ops::{Misfit, Ports, Site};
use crate::int::{Graph, Known, Layer, Model, TensorId};

/// Checks that layer `layer` and its shape agree with each other (operands, widths, weights, tables, parameters,
/// ports) and returns the shape.
///
/// # Errors
/// [`Error::Malformed`] with the first node that does not fit.
pub fn check<W: Known>(model: &Model<W>, layer: usize) -> Result<&Graph, Error> {
    let l = model.layers.get(layer).ok_or(Error::NoLayer { layer })?;
    check_sizes(model, layer, l.weights.sizes())
}

/// [`check`] of a layer whose matrices have so many weights.
pub(super) fn check_sizes<W>(model: &Model<W>, layer: usize, found: Vec<u64>) -> Result<&Graph, Error> {
    let shape = check_structure(model, layer)?;
    let l = &model.layers[layer];
    let sizes = shape.weights.iter().map(|&(rows, columns)| u64::from(rows) * u64::from(columns));
    if sizes.eq(found) { Ok(shape) } else { Err(whole(l, Misfit::WeightSizes)) }
}

fn whole<W>(l: &Layer<W>, why: Misfit) -> Error {
    Error::Malformed { layer: l.name.clone(), node: 0, name: "shape".into(), why }
}

/// [`check`] without the weights.
///
/// # Errors
/// As [`check`].
pub fn check_structure<W>(model: &Model<W>, layer: usize) -> Result<&Graph, Error> {
    let l = model.layers.get(layer).ok_or(Error::NoLayer { layer })?;
    let whole = |why| whole(l, why);
    let shape = model.shapes.get(l.shape as usize).ok_or_else(|| whole(Misfit::Shape))?;
    if model.tokens == 0 || !(2..=24).contains(&model.limb_bits) {
        return Err(whole(Misfit::ModelSizes));
    }
    let data_fits = l.tables.len() == shape.tables as usize
        && l.tables.iter().all(|t| t.check(model.limb_bits))
        && l.params.len() == shape.params as usize;
    if !data_fits {
        return Err(whole(Misfit::DataSizes));
    }
    if l.inputs.iter().chain(&l.outputs).any(|&id| id as usize >= model.tensors.len()) {
        return Err(whole(Misfit::Tensor));
    }
    let features = |ids: &[TensorId]| ids.iter().map(|&id| model.tensors[id as usize].features).collect::<Vec<u32>>();
    let (inputs, outputs) = (features(&l.inputs), features(&l.outputs));
    let ports = Ports { inputs: &inputs, outputs: &outputs };
    for (i, node) in shape.nodes.iter().enumerate() {
        let fits = || {
            if let Some(&v) = node.inputs.iter().find(|&&v| v as usize >= i) {
                return Err(Misfit::NotEarlier(v));
            }
            if node.features == 0 {
                return Err(Misfit::NoFeatures);
            }
            node.op.meaning().check(&Site::new(model.tokens, model.limb_bits, shape, node, ports))?;
            node.op.meaning().check_tables(&l.tables)
        };
        if let Err(why) = fits() {
            return Err(Error::Malformed { layer: l.name.clone(), node: i as u32, name: node.name.clone(), why });
        }
    }
    Ok(shape)
}
