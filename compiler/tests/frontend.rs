//! The front end on real models and on small exports of every writing: values against tract's own run, snapshots of
//! the lowered graphs, and the errors for files that cannot be used.

use nanozk_compiler::{
    data::{InputInfo, InputTensor, read_input},
    frontend::{FrontendError, LoadOptions, Loaded, load},
};
use nanozk_ir::float::{self, Graph, InputKind, InputValue, NodeId, Op};
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn form(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms").join(name)
}

/// Loads a model file with the given `--set` values.
fn load_with(path: &Path, set: &[(&str, usize)]) -> Result<Loaded, FrontendError> {
    let set = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
    load(path, &LoadOptions { set, ..Default::default() })
}

/// The error of a model that must be refused.
fn refused(path: &Path, set: &[(&str, usize)]) -> FrontendError {
    match load_with(path, set) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(e) => e,
    }
}

/// The values of inputs as read.
fn values(inputs: Vec<InputTensor>) -> Vec<InputValue> {
    inputs.into_iter().map(|input| input.value).collect()
}

/// Largest difference between the canonical graph and tract, relative to the largest output value.
fn difference(model: &Loaded, values: &[InputValue]) -> f64 {
    let expected = model.reference.run(values).expect("reference");
    let got = float::eval(&model.graph, values, &mut |_: NodeId, _: &[f32]| ()).expect("evaluation");
    assert_eq!(expected.len(), got.len());
    let mut worst = 0f64;
    for ((got, info), expected) in got.iter().zip(&model.outputs).zip(&expected) {
        let got = info.arrange(got);
        assert_eq!(got.len(), expected.len());
        let size = expected.iter().fold(f64::from(f32::MIN_POSITIVE), |m, v| m.max(v.abs()));
        worst = got.iter().zip(expected).fold(worst, |m, (a, b)| m.max((f64::from(*a) - b).abs() / size));
    }
    worst
}

/// The op table of a graph, without weights.
fn table(graph: &Graph) -> String {
    let mut out = format!("tokens {}\n", graph.tokens);
    for id in graph.topo() {
        let node = &graph.dag[id];
        let operands: Vec<String> = graph.operands(id).iter().map(|o| o.index().to_string()).collect();
        let detail = match &node.op {
            Op::Input(kind) => format!("{kind:?}"),
            Op::Const { rows, .. } => format!("rows {rows}"),
            Op::Linear { bias, .. } => (if bias.is_some() { "bias" } else { "" }).to_owned(),
            Op::Norm { eps, gamma, beta, .. } => {
                let parts = [(gamma.is_some(), " gamma"), (beta.is_some(), " beta")];
                let parts: String = parts.iter().filter(|p| p.0).map(|p| p.1).collect();
                format!("eps {eps:e}{parts}")
            }
            Op::Attention { .. } | Op::Unary(_) | Op::Slice { .. } | Op::Scale(_) => format!("{:?}", node.op),
            Op::Rope { heads, .. } => format!("heads {heads}"),
            _ => String::new(),
        };
        let line =
            format!("{:>3} {:<10} ({}) -> {} {detail}", id.index(), node.op.name(), operands.join(", "), node.features);
        let _ = writeln!(out, "{:<60} {}", line.trim_end(), node.name);
    }
    out
}

/// The ops of a graph on one line.
fn ops(graph: &Graph) -> String {
    let name = |id: NodeId| match &graph.dag[id].op {
        Op::Attention { heads, kv_heads, causal, key_mask, .. } => {
            let causal = if *causal { " causal" } else { "" };
            let mask = if *key_mask { " key-mask" } else { "" };
            format!("Attention[{heads}/{kv_heads}{causal}{mask}]")
        }
        Op::Unary(f) => f.name().to_owned(),
        op => op.name().to_owned(),
    };
    graph.topo().into_iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn bundled_models_agree_with_tract_and_match_their_snapshots() {
    for name in ["kjvgpt-d64-l4", "llama-d64-l2", "bert-d64-l2", "mlp-digits", "block-d16-t16", "block-d32-t16"] {
        let folder = root().join("onnx-models").join(name);
        let model = load_with(&folder.join("network.onnx"), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let inputs = read_input(&folder.join("input.json"), &model.inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        let error = difference(&model, &values(inputs));
        assert!(error < 1e-5, "{name}: differs from tract by {error:e}");
        assert!(model.soft_masks.is_empty(), "{name}: {:?}", model.soft_masks);
        insta::assert_snapshot!(name, table(&model.graph));
    }
}

#[test]
fn shared_models_agree_with_tract() {
    // Models that mask with -10 leave hidden keys a weight of 4.5e-5 each; the canonical graph hides them.
    let soft_mask = 2e-3;
    let folders = [
        ("models", vec!["block-d16-t16", "block-d32-t16", "block-d64-t16", "block-d128-t16", "block-d64-t64"], 1e-5),
        ("models", vec!["kjvgpt-d64-l4"], 1e-5),
        ("peers/ezkl/models", vec!["nanoGPT", "self_attention"], soft_mask),
        (
            "peers/ezkl/models",
            vec![
                "1l_mlp",
                "large_mlp",
                "1l_relu",
                "1l_gelu_noappx",
                "layernorm",
                "1l_softmax",
                "sklearn_mlp",
                "2l_relu_fc",
                "1l_erf",
                "1l_leakyrelu",
                "1l_linear",
                "1l_sigmoid",
                "1l_tanh",
                "1l_sqrt",
                "1l_flatten",
                "1l_reshape",
                "1l_identity",
                "1l_mean",
                "1l_batch_norm",
                "2l_relu_sigmoid",
                "2l_sigmoid_small",
                "clip",
                "hard_sigmoid",
                "linear_regression",
                "rnn",
                "exp",
            ],
            1e-5,
        ),
    ];
    for (folder, names, bound) in folders {
        for name in names {
            let folder = root().join("../shared").join(folder).join(name);
            if !folder.is_dir() {
                println!("skipped: {} is absent", folder.display());
                continue;
            }
            let model = load_with(&folder.join("network.onnx"), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            let inputs =
                read_input(&folder.join("input.json"), &model.inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
            let error = difference(&model, &values(inputs));
            assert!(error < bound, "{name}: differs from tract by {error:e}");
            assert_eq!(model.soft_masks.is_empty(), bound < soft_mask, "{name}: {:?}", model.soft_masks);
        }
    }
}

#[test]
fn every_writing_lowers_to_the_same_ops() {
    let mut lines = String::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(form(""))
        .expect("forms")
        .map(|entry| entry.expect("entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().and_then(|s| s.to_str()).expect("name").to_owned();
        if name.starts_with("refused") || name.starts_with("soft") {
            continue;
        }
        let set: &[(&str, usize)] = if name.ends_with("dynamic") { &[("seq", 5)] } else { &[] };
        let model = load_with(&path, set).unwrap_or_else(|e| panic!("{name}: {e}"));
        let error = difference(&model, &model.probe(&[]));
        assert!(error < 1e-5, "{name}: differs from tract by {error:e}");
        let _ = writeln!(lines, "{name}: {}", ops(&model.graph));
    }
    insta::assert_snapshot!("forms", lines);
}

/// Reference and canonical graph against what torch computed when it exported the model.
#[test]
fn dynamo_exports_compute_what_torch_did() {
    let text = std::fs::read_to_string(form("expected.json")).expect("expected.json");
    let expected: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    assert!(expected.len() > 30, "{} models", expected.len());
    let numbers = |v: &serde_json::Value| -> Vec<f32> {
        v.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    for (name, sample) in expected {
        let set: &[(&str, usize)] = if name.ends_with("dynamic") { &[("seq", 6)] } else { &[] };
        let model = load_with(&form(&format!("{name}.onnx")), set).unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = sample["input_data"].as_array().expect("inputs").iter().map(numbers);
        let tensor = |(data, info): (Vec<f32>, &InputInfo)| match info.kind {
            InputKind::Float => InputValue::Float(data),
            InputKind::Tokens { .. } => InputValue::Tokens(data.iter().map(|&v| v as u32).collect()),
            InputKind::Integer { .. } => InputValue::Integer(data.iter().map(|&v| v as i64).collect()),
            InputKind::Mask => InputValue::Mask(data.iter().map(|&v| v != 0.0).collect()),
        };
        let inputs: Vec<InputValue> = values.zip(&model.inputs).map(tensor).collect();
        assert!(difference(&model, &inputs) < 1e-5, "{name}: graph and reference differ");
        let (got, wanted) = (model.reference.run(&inputs).expect("reference"), numbers(&sample["output_data"]));
        assert_eq!(got[0].len(), wanted.len(), "{name}");
        let worst = got[0].iter().zip(&wanted).fold(0f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
        assert!(worst < 1e-5, "{name}: differs from torch by {worst:e}");
    }
}

#[test]
fn finite_masks_are_noted() {
    for (name, value, added) in [("soft_mask_fill", -10.0, false), ("soft_mask_add", -9.0, true)] {
        let model = load_with(&form(&format!("{name}.onnx")), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let [mask] = &model.soft_masks[..] else { panic!("{name}: {:?}", model.soft_masks) };
        assert_eq!((mask.value, mask.added), (value, added), "{name}");
        assert!(model.graph.dag.node_weights().any(|n| n.name == mask.attention), "{mask:?}");
    }
}

#[test]
fn dynamic_dimensions_are_asked_for_by_name() {
    let path = form("dynamic.onnx");
    assert!(refused(&path, &[]).to_string().contains("give it with `--set seq=N`"));
    let message = refused(&path, &[("seq", 5), ("sequence", 5)]).to_string();
    assert!(message.contains("`--set sequence=5`") && message.contains("batch, seq"), "{message}");
    assert!(refused(&path, &[("seq", 0)]).to_string().contains("no input with values"));
    assert_eq!(load_with(&path, &[("seq", 9)]).expect("model").graph.tokens, 9);
    let message = refused(&form("language.onnx"), &[("seq", 5)]).to_string();
    assert!(message.contains("no dynamic dimension"), "{message}");
}

#[test]
fn tokens_that_meet_behind_attention_stay_rows() {
    for name in ["last_token.onnx", "mean_of_tokens.onnx"] {
        let model = load_with(&form(name), &[]).expect("reads");
        assert!(model.graph.tokens > 1, "{name}");
        assert_eq!(model.graph.dag[model.graph.outputs[0]].features, model.outputs[0].shape.iter().product::<usize>());
    }
}

#[test]
fn broken_files_are_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("write");
        path
    };
    let whole = std::fs::read(form("language.onnx")).expect("model");
    let message = |path: &Path| refused(path, &[]).to_string();

    assert!(message(&folder.path().join("absent.onnx")).contains("cannot read the model"));
    assert!(message(&write("empty.onnx", b"")).contains("the file is empty"));
    assert!(
        message(&write("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))
            .contains("git lfs pull")
    );
    assert!(message(&write("text.onnx", b"just some text, not a protocol buffer")).contains("not an ONNX file"));
    assert!(message(&write("half.onnx", &whole[..whole.len() / 2])).contains("truncated"));
    assert!(message(&form("refused_external_data.onnx")).contains("\"weights.bin\" (external data) is missing"));
}

/// Weights in a file of their own are read, belong to the digest of the model, and are told apart when they are short
/// or elsewhere.
#[test]
fn external_weights() {
    let folder = tempfile::tempdir().expect("folder");
    let (model, data) = (folder.path().join("m.onnx"), folder.path().join("dynamo_external_data.onnx.data"));
    let bytes = std::fs::read(form("dynamo_external_data.onnx")).expect("model");
    let weights = std::fs::read(form("dynamo_external_data.onnx.data")).expect("weights");
    std::fs::write(&model, &bytes).expect("write");
    assert!(refused(&model, &[]).to_string().contains("(external data) is missing"));
    std::fs::write(&data, &weights).expect("write");
    let whole = load_with(&model, &[]).expect("model");
    assert_eq!(whole.source, load_with(&model, &[]).expect("model").source);
    let mut other = weights.clone();
    other[0] ^= 1;
    std::fs::write(&data, &other).expect("write");
    assert_ne!(whole.source, load_with(&model, &[]).expect("model").source);
    std::fs::write(&data, &weights[..weights.len() / 2]).expect("write");
    let message = refused(&model, &[]).to_string();
    assert!(message.contains("has 896 bytes, the model reads up to byte 1792"), "{message}");
    // A location of the same length outside of the folder.
    let name = b"dynamo_external_data.onnx.data";
    let mut outside = bytes.clone();
    for at in (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)) {
        outside[at..at + 3].copy_from_slice(b"../");
    }
    std::fs::write(&model, &outside).expect("write");
    assert!(refused(&model, &[]).to_string().contains("not inside the folder of the model"));
}

#[test]
fn non_finite_weights_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = root().join("onnx-models/mlp-digits/network.onnx");
    let model = load_with(&path, &[]).expect("model");
    let weight = model.graph.dag.node_weights().find_map(|n| match &n.op {
        Op::Linear { weight, .. } => Some(weight.read().expect("numbers in memory")[0]),
        _ => None,
    });
    let pattern = weight.expect("a linear layer").to_le_bytes();
    let bytes = std::fs::read(&path).expect("model");
    let at = bytes.windows(4).position(|w| w == pattern).expect("the weight is stored raw");
    for (value, wanted) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut broken = bytes.clone();
        broken[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let file = folder.path().join("broken.onnx");
        std::fs::write(&file, broken).expect("write");
        let message = refused(&file, &[]).to_string();
        assert!(message.contains(&format!("holds {wanted} at index 0")), "{message}");
    }
}

#[test]
fn random_bytes_are_refused_without_panic() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = std::fs::read(form("qkv_split.onnx")).expect("model");
    let mut state = 1u64;
    for round in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] ^= (state >> 20) as u8 | 1;
        }
        let path = folder.path().join(format!("{round}.onnx"));
        std::fs::write(&path, bytes).expect("write");
        // Either outcome is fine: a flipped bit of a weight still is a model.
        let _ = load_with(&path, &[]);
    }
}
