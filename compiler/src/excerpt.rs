//! A part of a model that has all its shapes.

use crate::artifact::Artifact;
use nanozk_ir::int::{Layer, Model, TensorId};
use std::collections::BTreeMap;

impl Artifact {
    /// The model of the first layer of each shape, whose costs are those of the whole but for how often: a layer that read what
    /// a layer left out made reads what the one kept of that shape makes. It answers something else than the whole.
    pub fn excerpt(self) -> Artifact {
        Artifact { model: excerpt(self.model), ..self }
    }
}

fn excerpt(model: Model) -> Model {
    let mut kept: BTreeMap<u32, Vec<TensorId>> = BTreeMap::new();
    let mut instead: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut layers: Vec<Layer> = Vec::new();
    for layer in model.layers {
        let own = layer.outputs.clone();
        let outputs = kept.entry(layer.shape).or_insert_with(|| {
            layers.push(layer);
            own.clone()
        });
        instead.extend(own.into_iter().zip(outputs.iter().copied()));
    }
    let mut tensors = Vec::new();
    let mut places: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut place = |id: &mut TensorId| {
        let id_kept = instead.get(id).copied().unwrap_or(*id);
        *id = *places.entry(id_kept).or_insert_with(|| {
            tensors.push(model.tensors[id_kept as usize].clone());
            tensors.len() as TensorId - 1
        });
    };
    let (mut inputs, mut outputs) = (model.inputs, model.outputs);
    inputs.iter_mut().for_each(&mut place);
    for layer in &mut layers {
        layer.inputs.iter_mut().chain(&mut layer.outputs).for_each(&mut place);
    }
    outputs.iter_mut().for_each(&mut place);
    Model { layers, tensors, inputs, outputs, ..model }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_ir::int::{Graph, Role, Tensor};

    #[test]
    fn readers_of_layers_left_out_read_the_first_of_their_shape() {
        let tensor = |name: &str| {
            let (name, role) = (name.to_owned(), Role::Internal);
            Tensor { name, features: 1, scale: 1.0, lo: 0, hi: 1, role }
        };
        let layer = |name: &str, shape, inputs: &[u32], outputs: &[u32]| Layer {
            name: name.into(),
            shape,
            inputs: inputs.into(),
            outputs: outputs.into(),
            ..Layer::default()
        };
        let model = Model {
            tokens: 1,
            limb_bits: 8,
            shapes: vec![Graph::default(); 3],
            layers: vec![
                layer("first", 0, &[0], &[1]),
                layer("block 0", 1, &[1, 0], &[2]),
                layer("block 1", 1, &[2, 0], &[3]),
                layer("block 2", 1, &[3, 0], &[4]),
                layer("last", 2, &[4, 0], &[5]),
            ],
            tensors: ["x", "a", "b", "c", "d", "y"].map(tensor).into(),
            inputs: vec![0],
            outputs: vec![5],
        };
        let part = excerpt(model);
        let names: Vec<&str> = part.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["x", "a", "b", "y"]);
        let expected =
            [layer("first", 0, &[0], &[1]), layer("block 0", 1, &[1, 0], &[2]), layer("last", 2, &[2, 0], &[3])];
        assert_eq!(part.layers, expected);
        assert_eq!((part.inputs, part.outputs), (vec![0], vec![3]));
    }
}
