//! The honest witness of every layer of a compiled model passes its circuit.

use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::int::interp;
use nanozk_layout::witness;
use nanozk_plan::mock::{self, Assignment};
use nanozk_plan::{Port, check};

/// Bundled models, compiled: the honest witness of every layer passes.
#[test]
fn bundled_models() {
    let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx-models");
    for name in ["kjvgpt-d64-l4"] {
        let (file, data) = (models.join(name).join("network.onnx"), models.join(name).join("input.json"));
        let options = CompileOptions { data: vec![data.clone()], ..Default::default() };
        let artifact = compile(&file, &options, &|_| {}).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&data).unwrap()).unwrap();
        let model = &artifact.model;
        let inputs: Vec<Vec<i64>> = model
            .inputs
            .iter()
            .enumerate()
            .map(|(i, &id)| {
                let scale = model.tensors[id as usize].scale;
                let values = json["input_data"][i].as_array().unwrap();
                values.iter().map(|v| (v.as_f64().unwrap() * scale).round() as i64).collect()
            })
            .collect();
        let tensors = interp::run_model(model, &inputs).unwrap();
        for (i, layer) in model.layers.iter().enumerate() {
            let args: Vec<&[i64]> = layer.inputs.iter().map(|&id| tensors[id as usize].as_slice()).collect();
            let values = interp::run(model, i, &args).unwrap();
            let lowered = &artifact.shapes[layer.shape as usize];
            let lanes = witness::fill(lowered, model, i, &values).unwrap();
            check::check(&lowered.plan).unwrap();
            let input = layer.inputs.iter().enumerate().map(|(p, &id)| (Port::Input(p as u32), id));
            let output = layer.outputs.iter().enumerate().map(|(p, &id)| (Port::Output(p as u32), id));
            let publics = input.chain(output).map(|(port, id)| (port, tensors[id as usize].clone())).collect();
            let (tables, params, weights) = (&layer.table_values(), &layer.params, &layer.weights);
            let assignment = Assignment { lanes: &lanes, tables, params, weights, publics: &publics };
            mock::check(&lowered.plan, &assignment).unwrap();
        }
    }
}
