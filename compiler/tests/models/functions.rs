//! Elementwise functions as models spell them: what is recognised, and that nothing of what they compute is lost far
//! outside of what a model usually sees.

use super::general::compiled;
use nanozk_compiler::frontend::{FrontendError, LoadOptions, Loaded, load};
use nanozk_compiler::onnx::{Onnx, float};
use nanozk_ir::float::{InputValue, NodeId, Op, eval};
use nanozk_ir::int::interp::{clamps, run_seen};

/// Arguments: all magnitudes that matter, both signs, and points between the bounds used below.
fn arguments() -> Vec<f32> {
    let magnitudes = [0.0, 1e-30, 1e-7, 1e-3, 0.3, 0.9, 1.5, 2.7, 4.4, 6.2, 9.0, 11.0, 13.0, 17.0, 19.0, 21.0, 40.0];
    let large = [77.0, 120.0, 1e3, 1e4, 1e6];
    magnitudes.iter().chain(&large).flat_map(|&m| [m, -m]).collect()
}

/// A model of one elementwise function, written by `body` from `x` to `y`.
fn loaded(body: impl FnOnce(Onnx) -> Onnx) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let width = arguments().len();
    let onnx = Onnx::default().input("x", &[1, width]).output("y", &[1, width]);
    let path = body(onnx).write(folder.path()).unwrap();
    load(&path, &LoadOptions::default()).unwrap()
}

/// The functions of the graph, and its greatest difference from tract over all arguments, relative to each value.
fn functions(model: &Loaded) -> (Vec<&'static str>, f32) {
    let x = InputValue::Float(arguments());
    let expected = model.reference.run(std::slice::from_ref(&x)).unwrap();
    let got = eval(&model.graph, &[x], &mut |_: NodeId, _: &[f32]| ()).unwrap();
    let mut worst = 0f32;
    let expected = expected[0].iter().map(|&v| v as f32);
    for ((&a, b), x) in got[0].iter().zip(expected).zip(arguments()).filter(|((_, b), _)| b.is_finite()) {
        // The reference runs in single precision and cancels where a function is written as a difference from 1.
        let rounding = 8.0 * f32::EPSILON * x.abs().max(1.0);
        worst = worst.max(if a == b { 0.0 } else { ((a - b).abs() - rounding).max(0.0) / b.abs() });
    }
    let name = |id: NodeId| match &model.graph.dag[id].op {
        Op::Input(_) | Op::Output => None,
        Op::Unary(f) => Some(f.name()),
        op => Some(op.name()),
    };
    (model.graph.topo().into_iter().filter_map(name).collect(), worst)
}

type Body = fn(Onnx) -> Onnx;

/// Ways to write functions, with the ops that they become.
const FORMS: &[(&str, &[&str], Body)] = &[
    ("relu", &["Relu"], |m| m.node("Relu", &["x"], "y", &[])),
    ("relu below 20", &["Formula"], |m| {
        m.constant("20", &[], &[20.0]).node("Relu", &["x"], "r", &[]).node("Min", &["r", "20"], "y", &[])
    }),
    ("gelu below 12", &["Formula"], |m| {
        let m = m.constant("root", &[], &[std::f32::consts::FRAC_1_SQRT_2]).constant("1", &[], &[1.0]);
        let m = m.constant("half", &[], &[0.5]).constant("12", &[], &[12.0]);
        m.node("Mul", &["x", "root"], "a", &[])
            .node("Erf", &["a"], "b", &[])
            .node("Add", &["b", "1"], "c", &[])
            .node("Mul", &["x", "c"], "d", &[])
            .node("Mul", &["d", "half"], "e", &[])
            .node("Min", &["e", "12"], "y", &[])
    }),
    ("silu below 18", &["Formula"], |m| {
        m.constant("18", &[], &[18.0]).node("Sigmoid", &["x"], "s", &[]).node("Mul", &["x", "s"], "g", &[]).node(
            "Min",
            &["g", "18"],
            "y",
            &[],
        )
    }),
    ("relu above 1000 only", &["Formula"], |m| {
        m.constant("1000", &[], &[1000.0]).node("Max", &["x", "1000"], "y", &[])
    }),
    ("clip", &["Formula"], |m| {
        m.constant("lo", &[], &[-18.0]).constant("hi", &[], &[100.0]).node("Clip", &["x", "lo", "hi"], "y", &[])
    }),
    ("silu", &["Silu"], |m| m.node("Sigmoid", &["x"], "s", &[]).node("Mul", &["x", "s"], "y", &[])),
    ("elu", &["Formula"], |m| m.node("Elu", &["x"], "y", &[float("alpha", 0.7)])),
    ("celu", &["Formula"], |m| m.node("Celu", &["x"], "y", &[float("alpha", 0.7)])),
    ("selu", &["Formula", "Scale"], |m| m.node("Selu", &["x"], "y", &[])),
    ("softplus", &["Formula"], |m| m.node("Softplus", &["x"], "y", &[])),
    ("softsign", &["Formula"], |m| m.node("Softsign", &["x"], "y", &[])),
    ("mish", &["Formula"], |m| {
        m.node("Softplus", &["x"], "p", &[]).node("Tanh", &["p"], "t", &[]).node("Mul", &["x", "t"], "y", &[])
    }),
    ("hard sigmoid", &["Formula"], |m| m.node("HardSigmoid", &["x"], "y", &[])),
    ("reciprocal", &["Recip"], |m| m.node("Reciprocal", &["x"], "y", &[])),
    ("logarithm", &["Ln"], |m| m.node("Log", &["x"], "y", &[])),
    ("sign", &["Sign"], |m| m.node("Sign", &["x"], "y", &[])),
    ("floor", &["Floor"], |m| m.node("Floor", &["x"], "y", &[])),
    ("squared relu", &["Formula"], |m| m.node("Relu", &["x"], "r", &[]).node("Mul", &["r", "r"], "y", &[])),
    ("leaky relu", &["LeakyRelu"], |m| m.node("LeakyRelu", &["x"], "y", &[float("alpha", 0.02)])),
    ("a bend in the residual", &["Relu", "Add"], |m| {
        m.node("Relu", &["x"], "r", &[]).node("Add", &["x", "r"], "y", &[])
    }),
];

#[test]
fn functions_keep_their_values_at_all_magnitudes() {
    for (name, ops, body) in FORMS {
        let model = loaded(body);
        let (found, worst) = functions(&model);
        assert_eq!(&found, ops, "{name}");
        assert!(worst < 1e-5, "{name}: differs by {worst:e}");
    }
}

#[test]
fn a_bounded_normalisation_is_not_a_normalisation() {
    let width = arguments().len();
    let scale = vec![1.0; width];
    let model = loaded(|m| {
        m.constant("gamma", &[width], &scale)
            .constant("lo", &[], &[-3.0])
            .constant("hi", &[], &[3.0])
            .node("LayerNormalization", &["x", "gamma"], "n", &[])
            .node("Clip", &["n", "lo", "hi"], "y", &[])
    });
    let (found, worst) = functions(&model);
    assert_eq!(found, ["LayerNorm", "Formula"]);
    assert!(worst < 1e-4, "{worst:e}");
}

#[test]
fn unsupported_nodes_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = ["first", "second"];
    let input = Onnx::default().input("x", &[1, 6, 8]);
    let model = unknown.iter().fold(input, |m, name| m.node("BitwiseNot", &["x"], name, &[]));
    let model = unknown.iter().fold(model, |m, name| m.output(name, &[1, 6, 8]));
    let path = model.write(folder.path()).unwrap();
    let Err(FrontendError::Unsupported { problems, .. }) = load(&path, &LoadOptions::default()) else {
        panic!("another result")
    };
    let nodes: Vec<&str> = problems.iter().map(|p| p.node.as_str()).collect();
    assert_eq!(nodes, unknown);
    assert!(problems.iter().all(|p| p.shapes.contains("[1,6,8]") && p.op == "BitwiseNot"), "{problems:?}");
}

/// What has no root is counted where 0 stands for it.
#[test]
fn roots_of_what_has_none_are_counted() {
    let onnx = Onnx::default().input("x", &[4]).node("Sqrt", &["x"], "y", &[]).output("y", &[4]);
    let (artifact, gap) = compiled(onnx, &[vec![0.5, 0.9, 0.2, 1.0]]);
    assert!(gap < 0.01);
    let model = &artifact.model;
    assert!(model.shapes[0].nodes.iter().any(|node| node.op.name() == "Root"));
    let saturated = |x: [i64; 4]| {
        let mut saturated = 0;
        let mut see = |layer: usize, values: &[Vec<i64>]| {
            saturated += clamps(model, layer, values).iter().map(|clamp| clamp.saturated).sum::<u64>();
        };
        run_seen(model, &[x.to_vec()], &mut see).unwrap();
        saturated
    };
    assert_eq!([saturated([9, 0, 30, 1]), saturated([-9, 0, -30, 1])], [0, 2]);
}
