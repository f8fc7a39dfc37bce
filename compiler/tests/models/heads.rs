//! Transformers whose tokens meet in a pool or a head: their blocks are equal layers of tokens.

use crate::general::numbers;
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::config::Visibility;
use nanozk_compiler::data::read_input;
use nanozk_compiler::frontend::{LoadOptions, load};
use nanozk_compiler::onnx::{Onnx, float, int, ints};
use nanozk_compiler::partition::partition;
use nanozk_compiler::pipeline::{CompileOptions, Notice, compile};
use nanozk_ir::float::{InputValue, Op};
use std::cell::RefCell;
use std::path::PathBuf;
use tempfile::TempDir;

const T: usize = 6;
const D: usize = 8;

/// A matrix of small numbers, other ones for each name.
fn weight(onnx: Onnx, name: &str, inputs: usize, outputs: usize) -> Onnx {
    let mut data = numbers(inputs * outputs);
    let turn = name.bytes().map(usize::from).sum::<usize>() % data.len();
    data.rotate_left(turn);
    onnx.constant(name, &[inputs, outputs], &data.into_iter().map(|v| v / 2.0).collect::<Vec<_>>())
}

/// A post-norm block of one head on `x`, whose result has the name of the block; `hidden` is added to the scores.
fn block(onnx: Onnx, block: &str, x: &str, hidden: &str) -> Onnx {
    let n = |part: &str| format!("{block}.{part}");
    let mut onnx = onnx;
    for (part, inputs, outputs) in [("wq", D, D), ("wk", D, D), ("wv", D, D), ("up", D, 2 * D), ("down", 2 * D, D)] {
        onnx = weight(onnx, &n(part), inputs, outputs);
    }
    for (part, w) in [("q", "wq"), ("k", "wk"), ("v", "wv")] {
        onnx = onnx.node("MatMul", &[x, &n(w)], &n(part), &[]);
    }
    onnx.node("Transpose", &[&n("k")], &n("keys"), &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &[&n("q"), &n("keys")], &n("raw"), &[])
        .node("Mul", &[&n("raw"), "scale"], &n("scores"), &[])
        .node("Add", &[&n("scores"), hidden], &n("masked"), &[])
        .node("Softmax", &[&n("masked")], &n("weights"), &[int("axis", -1)])
        .node("MatMul", &[&n("weights"), &n("v")], &n("mixed"), &[])
        .node("Add", &[x, &n("mixed")], &n("sum"), &[])
        .node("LayerNormalization", &[&n("sum"), "gain", "shift"], &n("norm"), &[float("epsilon", 1e-5)])
        .node("MatMul", &[&n("norm"), &n("up")], &n("wide"), &[])
        .node("Relu", &[&n("wide")], &n("relu"), &[])
        .node("MatMul", &[&n("relu"), &n("down")], &n("mlp"), &[])
        .node("Add", &[&n("norm"), &n("mlp")], &n("total"), &[])
        .node("LayerNormalization", &[&n("total"), "gain", "shift"], block, &[float("epsilon", 1e-5)])
}

/// Two blocks on `x` `[1, T, D]` behind a linear map; `hidden` is the bias of the scores.
fn encoder(onnx: Onnx, hidden: &str) -> Onnx {
    let gain: Vec<f32> = (0..D).map(|j| 0.8 + j as f32 / 20.0).collect();
    let onnx = weight(onnx.input("x", &[1, T, D]), "embedding", D, D)
        .constant("scale", &[], &[0.35f32])
        .constant("gain", &[D], &gain)
        .constant("shift", &[D], &numbers(D))
        .node("MatMul", &["x", "embedding"], "start", &[])
        .node("LayerNormalization", &["start", "gain", "shift"], "first", &[float("epsilon", 1e-5)]);
    block(block(onnx, "a", "first", hidden), "b", "a", hidden)
}

/// The same with a mask input, `seen` `[1, T]`.
fn masked() -> Onnx {
    let onnx = Onnx::default()
        .constant("low", &[], &[-1e9f32])
        .constant("one", &[], &[1f32])
        .constant("axis", &[1], &[1i64])
        .constant("keys", &[3], &[1, 1, T as i64])
        .node("Cast", &["mask"], "seen", &[int("to", 1)])
        .node("Sub", &["one", "seen"], "unseen", &[])
        .node("Mul", &["unseen", "low"], "bias", &[])
        .node("Reshape", &["bias", "keys"], "hidden", &[]);
    encoder(onnx, "hidden").whole_input("mask", &[1, T])
}

/// The model, the samples and the folder of both.
fn written(onnx: Onnx, samples: &[Vec<Vec<f32>>]) -> (PathBuf, Vec<PathBuf>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path()).unwrap();
    let file = |(i, sample): (usize, &Vec<Vec<f32>>)| {
        let file = folder.path().join(format!("{i}.json"));
        std::fs::write(&file, serde_json::json!({ "input_data": sample }).to_string()).unwrap();
        file
    };
    let data = samples.iter().enumerate().map(file).collect();
    (path, data, folder)
}

/// A compiled model, which must be close to the source model on the samples, and the folder of the latter.
fn compiled(onnx: Onnx, samples: &[Vec<Vec<f32>>]) -> (Artifact, TempDir) {
    let (path, data, folder) = written(onnx, samples);
    let artifact = compile(&path, &CompileOptions { data: data.clone(), ..Default::default() }, &|_| {}).unwrap();
    let reference = artifact.source.reference(None).unwrap();
    let values = |file| read_input(file, &artifact.inputs).unwrap().into_iter().map(|i| i.value).collect::<Vec<_>>();
    let values: Vec<_> = data.iter().map(|file| values(file)).collect();
    let floats: Vec<_> = values.iter().map(|v| reference.run(v).unwrap()).collect();
    let gap = artifact.models().measure(&values, &floats).unwrap().gap();
    assert!(gap < 0.01, "{gap}");
    (artifact, folder)
}

/// Masks that show all tokens, some, and one.
fn samples() -> Vec<Vec<Vec<f32>>> {
    let mask = |shown: usize| (0..T).map(|t| if t < shown { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    [T, 4, 1].map(|shown| vec![numbers(T * D), mask(shown)]).to_vec()
}

/// Both blocks are layers of one shape, on all tokens.
fn has_equal_blocks(artifact: &Artifact, layers: usize) {
    let shapes: Vec<u32> = artifact.model.layers.iter().map(|layer| layer.shape).collect();
    assert_eq!((artifact.model.tokens as usize, shapes.len()), (T, layers), "{shapes:?}");
    assert!(shapes.windows(2).any(|pair| pair[0] == pair[1]), "{shapes:?}");
}

#[test]
fn a_mask_beside_a_private_input_stays_public_and_compile_says_so() {
    let (path, data, _folder) = written(masked().output("b", &[1, T, D]), &samples());
    let warnings = |input: Visibility| {
        let told = RefCell::new(Vec::new());
        let tell = |notice: Notice<'_>| {
            if let Notice::Warning(warning) = notice {
                told.borrow_mut().push(warning.to_owned());
            }
        };
        let options = CompileOptions { data: data.clone(), input: Some(input), ..Default::default() };
        compile(&path, &options, &tell).unwrap();
        told.into_inner().into_iter().filter(|warning| warning.contains("public")).collect::<Vec<_>>()
    };
    let private = warnings(Visibility::Private);
    assert!(private.len() == 1 && private[0].contains("the mask \"mask\" stays public"), "{private:?}");
    assert!(warnings(Visibility::Public).is_empty());
}

/// The sum over the tokens that the mask shows, divided by their number, in the forms of several exporters.
#[test]
fn means_over_visible_tokens() {
    let keep = |onnx: Onnx| {
        onnx.constant("column", &[3], &[1, T as i64, 1]).node("Reshape", &["seen", "column"], "shown", &[])
    };
    let count = |onnx: Onnx| {
        onnx.constant("tiny", &[], &[1e-9f32])
            .node("ReduceSum", &["shown", "axis"], "total", &[int("keepdims", 0)])
            .node("Max", &["total", "tiny"], "count", &[])
    };
    let forms: [&dyn Fn(Onnx) -> Onnx; 4] = [
        &|onnx| {
            count(keep(onnx))
                .node("Mul", &["b", "shown"], "kept", &[])
                .node("ReduceSum", &["kept", "axis"], "sum", &[int("keepdims", 0)])
                .node("Div", &["sum", "count"], "y", &[])
        },
        &|onnx| {
            count(keep(onnx))
                .constant("zero", &[], &[0f32])
                .node("Cast", &["shown"], "condition", &[int("to", 9)])
                .node("Where", &["condition", "b", "zero"], "kept", &[])
                .node("ReduceSum", &["kept", "axis"], "sum", &[int("keepdims", 0)])
                .node("Div", &["sum", "count"], "y", &[])
        },
        &|onnx| {
            count(keep(onnx))
                .node("Div", &["seen", "count"], "shares", &[])
                .constant("row", &[3], &[1, 1, T as i64])
                .node("Reshape", &["shares", "row"], "share", &[])
                .node("MatMul", &["share", "b"], "means", &[])
                .node("Squeeze", &["means", "axis"], "y", &[])
        },
        &|onnx| {
            count(keep(onnx))
                .node("Mul", &["shown", "b"], "kept", &[])
                .node("ReduceSum", &["kept", "axis"], "sum", &[int("keepdims", 0)])
                .node("Div", &["sum", "count"], "mean", &[])
                .node("ReduceL2", &["mean"], "length", &[ints("axes", &[-1]), int("keepdims", 1)])
                .node("Max", &["length", "tiny"], "bounded", &[])
                .node("Div", &["mean", "bounded"], "y", &[])
        },
    ];
    for (at, form) in forms.into_iter().enumerate() {
        let (artifact, _source) = compiled(form(masked()).output("y", &[1, D]), &samples());
        has_equal_blocks(&artifact, 4);
        // Where the mask shows nothing the mean is 0.
        let hidden = [InputValue::Float(numbers(T * D)), InputValue::Mask(vec![false; T])];
        let pair = artifact.models().run(&artifact.source.reference(None).unwrap(), &hidden).unwrap();
        assert_eq!(pair.float, pair.integer, "form {at}");
    }
}

#[test]
fn means_over_all_tokens() {
    let onnx = masked().node("ReduceMean", &["b"], "y", &[ints("axes", &[1]), int("keepdims", 0)]);
    let (artifact, _) = compiled(onnx.output("y", &[1, D]), &samples());
    has_equal_blocks(&artifact, 4);
}

/// A classifier that reads the first token through a layer of its own.
#[test]
fn class_tokens() {
    let onnx = weight(weight(masked(), "dense", D, D), "classes", D, 3)
        .constant("zero", &[], &[0i64])
        .node("Gather", &["b", "zero"], "token", &[int("axis", 1)])
        .node("MatMul", &["token", "dense"], "inner", &[])
        .node("Tanh", &["inner"], "pooled", &[])
        .node("MatMul", &["pooled", "classes"], "y", &[])
        .output("y", &[1, 3]);
    let (artifact, _) = compiled(onnx, &samples());
    has_equal_blocks(&artifact, 4);
}

/// Scores of the last token of a causal model, and the first and last tokens side by side.
#[test]
fn last_tokens() {
    let later: Vec<f32> = (0..T * T).map(|i| if i % T > i / T { -1e9 } else { 0.0 }).collect();
    let causal = || encoder(Onnx::default().constant("later", &[1, T, T], &later), "later");
    let last =
        |onnx: Onnx| onnx.constant("last", &[], &[-1i64]).node("Gather", &["b", "last"], "end", &[int("axis", 1)]);
    let onnx = weight(last(causal()), "head", D, 5).node("MatMul", &["end", "head"], "y", &[]).output("y", &[1, 5]);
    let (artifact, _) = compiled(onnx, &[vec![numbers(T * D)]]);
    has_equal_blocks(&artifact, 4);
    let both = last(causal())
        .constant("zero", &[], &[0i64])
        .node("Gather", &["b", "zero"], "start.token", &[int("axis", 1)])
        .node("Concat", &["start.token", "end"], "y", &[int("axis", 1)])
        .output("y", &[1, 2 * D]);
    let (artifact, _) = compiled(both, &[vec![numbers(T * D)]]);
    has_equal_blocks(&artifact, 4);
}

/// Norms of heads have gains of their own in each layer, which are no part of the rotation behind them.
#[test]
fn gains_of_heads_leave_layers_equal() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/models/exports/qwen3-dyn/network.onnx");
    if !path.exists() {
        return println!("skipped: {} is absent", path.display());
    }
    let graph = load(&path, &LoadOptions::default()).unwrap().graph;
    assert_eq!(partition(&graph, 1 << 20).classes, [0, 1, 1, 2]);
    let hidden = graph.dag.node_weights().filter(|n| matches!(&n.op, Op::Mul));
    assert_eq!(hidden.count(), 2, "the gates of both layers");
}
