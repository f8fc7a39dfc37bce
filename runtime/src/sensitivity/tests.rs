//! Estimates against the exact Fisher information.

use super::*;
use crate::Silent;
use nanozk_ir::int::{Graph, Layer, Model, Node, Op, Role, Tensor, ops};
use nanozk_plan::{ElementType, ValueInfo};

const BOUND: i64 = 1 << 40;

/// A shape that reads port 0, computes `ops` one after the other, each from the node before it (`Mul` from it twice), and
/// writes the last; each op with its features.
fn shape(features: u32, ops: &[(Op, u32)], weights: Vec<(u32, u32)>) -> Graph {
    let mut graph = Graph { weights, ..Graph::default() };
    let node = |op, inputs, features| Node { name: "n".into(), op, inputs, features, lo: -BOUND, hi: BOUND };
    let mut last = graph.push(node(Op::Input(ops::Input { port: 0 }), vec![], features));
    let mut width = features;
    for (op, features) in ops {
        let inputs = if *op == Op::Mul(ops::Mul) { vec![last, last] } else { vec![last] };
        last = graph.push(node(op.clone(), inputs, *features));
        width = *features;
    }
    graph.push(node(Op::Output(ops::Output { port: 0 }), vec![last], width));
    graph
}

/// `x -> x -> W x -> (W x)^2`, elementwise, for two tokens: 4, 4, 3 and 3 features. Nothing is rounded.
fn model() -> Model {
    let linear = Op::Linear(ops::Linear { weight: 0, bias: None, positions: 1 });
    let matrix: Vec<i32> = vec![3, -2, 1, 0, 5, -4, 2, 2, -1, -3, 1, 4];
    let layer = |shape: u32, weights| Layer {
        name: format!("layer{shape}"),
        shape,
        inputs: vec![shape],
        outputs: vec![shape + 1],
        weights,
        ..Layer::default()
    };
    let tensor = |features, scale, role| Tensor { name: "t".into(), features, scale, lo: -BOUND, hi: BOUND, role };
    Model {
        tokens: 2,
        limb_bits: 12,
        shapes: vec![
            shape(4, &[], vec![]),
            shape(4, &[(linear, 3)], vec![(4, 3)]),
            shape(3, &[(Op::Mul(ops::Mul), 3)], vec![]),
        ],
        layers: vec![layer(0, vec![]), layer(1, vec![matrix]), layer(2, vec![])],
        tensors: vec![
            tensor(4, 4096.0, Role::PublicInput),
            tensor(4, 4096.0, Role::Internal),
            tensor(3, 4096.0, Role::Internal),
            tensor(3, 4096.0 * 4096.0 * 64.0, Role::PublicOutput),
        ],
        inputs: vec![0],
        outputs: vec![3],
    }
}

const INPUT: [i64; 8] = [4100, -2000, 900, 3000, -1500, 2500, 4000, -700];

/// Output of the model behind tensor `at` with these values, real, row-major `[2, 3]`.
fn behind(model: &Model, at: usize, values: &[i64]) -> Vec<f64> {
    let mut tensor = values.to_vec();
    for layer in at..3 {
        tensor = interp::run(model, layer, &[&tensor]).unwrap().pop().unwrap();
    }
    tensor.iter().map(|v| *v as f64 / model.tensors[3].scale).collect()
}

/// Trace of the Fisher information with respect to the outputs of `layer`, by central differences of each value of the
/// first `length` tokens, which are exact for squares.
fn exact(model: &Model, layer: usize, length: usize, reading: Reading) -> f64 {
    let base = interp::run_model(model, &[INPUT.to_vec()]).unwrap();
    let values = &base[layer + 1];
    let output = behind(model, layer + 1, values);
    let (step, scale) = (64, model.tensors[layer + 1].scale);
    let mut trace = 0.0;
    for at in 0..values.len() / 2 * length {
        let moved = |by: i64| {
            let mut values = values.clone();
            values[at] += by;
            behind(model, layer + 1, &values)
        };
        let slope: Vec<f64> =
            moved(step).iter().zip(moved(-step)).map(|(a, b)| (a - b) / (2 * step) as f64 * scale).collect();
        for (z, slope) in output.chunks(3).zip(slope.chunks(3)).take(length) {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            let mean = |f: &dyn Fn(f64) -> f64| z.iter().zip(slope).map(|(z, s)| z.exp() / sum * f(*s)).sum::<f64>();
            trace += match reading {
                Reading::Gaussian => slope.iter().map(|s| s * s).sum(),
                _ => mean(&|s| s * s) - mean(&|s| s).powi(2),
            };
        }
    }
    trace
}

fn measured(model: &Model, length: u32, reading: Option<Reading>) -> SensitivityReport {
    let outputs = [ValueInfo::row_major("z", vec![2, 3], ElementType::Float32)];
    let models = Models { model, outputs: &outputs, head: Head::Logits };
    let request = Request {
        model: PathBuf::new(),
        data: Vec::new(),
        probes: 400,
        step: 0.01,
        seed: 5,
        reading,
        out: None,
        html: None,
    };
    measure(models, &[(vec![INPUT.to_vec()], length)], &request, &Silent).unwrap()
}

#[test]
fn estimates_agree_with_exact_differences() {
    let model = model();
    for (reading, length) in [(None, 2), (None, 1), (Some(Reading::Gaussian), 2)] {
        let report = measured(&model, length, reading);
        assert_eq!(report.outputs[0].reading, reading.unwrap_or(Reading::Scores));
        for layer in &report.layers {
            let exact = exact(&model, layer.index, length as usize, report.outputs[0].reading) * layer.rms * layer.rms;
            let error = (layer.sensitivity - exact).abs();
            assert!(exact > 0.0 && layer.standard_error < 0.1 * exact, "{layer:?} {exact}");
            // Terms of fourth order, and whole units.
            assert!(error < 5.0 * layer.standard_error + 0.01 * exact, "{layer:?} {exact}");
            assert_eq!(layer.held, 0.0);
            let trace = layer.fisher_trace.unwrap() * layer.rms * layer.rms;
            assert!((trace - layer.sensitivity).abs() < 1e-9 * trace);
        }
        // 4, 4 and 3 values by token, without those beyond the length.
        let values: Vec<f64> = report.layers.iter().map(|l| l.values).collect();
        assert_eq!(values, [4, 3, 3].map(|n| f64::from(n * length)));
    }
}

/// Values at an end of their range stay.
#[test]
fn values_without_room_are_held() {
    let mut model = model();
    model.tensors[1].hi = 4100;
    model.shapes[0].nodes.iter_mut().for_each(|node| node.hi = BOUND);
    let report = measured(&model, 2, None);
    assert_eq!(report.layers[0].held, 1.0 / 8.0);
}

#[test]
fn errors_shrink_with_the_number_of_probes() {
    let probes = |n: usize| (0..n).map(|i| Probe { relative: (i % 2) as f64, held: 0 }).collect::<Vec<_>>();
    let few = summary(0, "l", &[probes(4), probes(4)], &[(1, 1.0), (1, 1.0)]);
    assert_eq!((few.sensitivity, few.values), (0.5, 1.0));
    // Variance 1/3 of each probe, 4 of them in each of 2 samples.
    assert!((few.standard_error - (1f64 / 3.0 / 8.0).sqrt()).abs() < 1e-12);
    let many = summary(0, "l", &[probes(400)], &[(1, 1.0)]);
    assert!((many.standard_error - 0.5 / 399f64.sqrt()).abs() < 1e-12);
}
