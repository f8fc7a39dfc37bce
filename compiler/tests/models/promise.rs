//! A compiled model keeps its tolerance on the sample data, whatever the magnitudes in it are.

use nanozk_compiler::onnx::{AttributeProto, Onnx, float, int, ints};
use nanozk_compiler::{
    artifact::Artifact,
    error::CompileError,
    pipeline::{CompileOptions, Notice, Outcome, compile},
};
use std::cell::RefCell;
use tempfile::TempDir;

/// Fixed pseudo-random numbers in -1..1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Largest gap that a model may have by default.
const TOLERANCE: f64 = 0.02;

fn scaled(values: Vec<f32>, factor: f32) -> Vec<f32> {
    values.into_iter().map(|v| v * factor).collect()
}

/// Compiles a model on one sample of its input.
fn compiled(
    model: Onnx,
    sample: &[f32],
    settings: &str,
    accept_gap: bool,
) -> Result<(Artifact, Outcome), CompileError> {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let sample = sample.iter().map(|v| format!("{v:e}")).collect::<Vec<_>>().join(",");
    let data = vec![file("input.json", format!("{{\"input_data\": [[{sample}]]}}"))];
    let config = Some(file("nanozk.yaml", settings.into()));
    let options = CompileOptions { data, config, accept_gap, ..Default::default() };
    let outcome = RefCell::new(Outcome::default());
    let tell = |notice: Notice<'_>| {
        if let Notice::Fidelity(found) = notice {
            *outcome.borrow_mut() = found.clone();
        }
    };
    let artifact = compile(&model.write(folder.path()).unwrap(), &options, &tell)?;
    Ok((artifact, outcome.into_inner()))
}

/// The greatest gap of a model that must compile.
fn gap(name: &str, model: Onnx, sample: &[f32]) -> f64 {
    let (artifact, outcome) = compiled(model, sample, "", false).unwrap_or_else(|e| panic!("{name}: {e}"));
    let gap = outcome.gaps.iter().map(|g| g.relative()).fold(0.0, f64::max);
    println!("{name}: {gap:.1e} at {} bits, {:?}", artifact.model.limb_bits, outcome.choice);
    gap
}

/// A model of one input and one output of these shapes.
fn model(input: &[usize], output: &[usize]) -> Onnx {
    Onnx::default().input("x", input).output("y", output)
}

/// `x W` with noise in W.
fn linear(m: Onnx, x: &str, y: &str, shape: [usize; 2], size: f32, seed: u32) -> Onnx {
    let name = format!("{y}.weight");
    m.constant(&name, &shape, &scaled(noise(shape[0] * shape[1], seed), size)).node("MatMul", &[x, &name], y, &[])
}

fn layer_norm(m: Onnx, x: &str, y: &str, width: usize, eps: f32) -> Onnx {
    let name = format!("{y}.gain");
    m.constant(&name, &[width], &vec![1.0; width]).node("LayerNormalization", &[x, &name], y, &[float("epsilon", eps)])
}

fn rms_norm(m: Onnx, x: &str, y: &str, eps: f32) -> Onnx {
    let part = |p: &str| format!("{y}.{p}");
    let (square, mean, sum, root, eps_name) = (part("square"), part("mean"), part("sum"), part("root"), part("eps"));
    m.constant(&eps_name, &[], &[eps])
        .node("Mul", &[x, x], &square, &[])
        .node("ReduceMean", &[&square], &mean, &[ints("axes", &[-1])])
        .node("Add", &[&mean, &eps_name], &sum, &[])
        .node("Sqrt", &[&sum], &root, &[])
        .node("Div", &[x, &root], y, &[])
}

#[test]
fn functions_of_great_and_small_values() {
    let wide: Vec<f32> = noise(48, 3);
    let times = |m: Onnx, c: f32| m.constant("c", &[], &[c]).node("Mul", &["x", "c"], "a", &[]);
    // The values reach 9e6.
    let exp = model(&[1, 48], &[1, 48]).node("Exp", &["x"], "y", &[]);
    assert!(gap("exp", exp, &scaled(wide.clone(), 16.0)) <= TOLERANCE);
    for c in [1e6, 1e-30, 1e30] {
        let relu = times(model(&[1, 48], &[1, 48]), c).node("Relu", &["a"], "y", &[]);
        assert!(gap("relu", relu, &wide) <= 0.005, "{c}");
        let mlp = times(model(&[1, 48], &[1, 8]), c);
        let mlp = linear(mlp, "a", "h", [48, 32], 0.2, 1).node("Relu", &["h"], "r", &[]);
        assert!(gap("mlp", linear(mlp, "r", "y", [32, 8], 0.2, 2), &wide) <= 0.01, "{c}");
    }
    for size in [1e-7, 1e-20, 1e7] {
        let mlp = linear(model(&[1, 48], &[1, 8]), "x", "h", [48, 32], 0.2, 1).node("Relu", &["h"], "r", &[]);
        let sample = scaled(wide.clone(), size);
        assert!(gap("small inputs", linear(mlp, "r", "y", [32, 8], 0.2, 2), &sample) <= 0.01, "{size}");
        let tanh = model(&[1, 48], &[1, 48]).constant("c", &[], &[1.0 / size]);
        let tanh = tanh.node("Mul", &["x", "c"], "a", &[]).node("Tanh", &["a"], "y", &[]);
        assert!(gap("small arguments", tanh, &sample) <= 0.01, "{size}");
    }
}

#[test]
fn softmax_of_scores_far_above_their_mean() {
    // Two scores 40 and 39 above many others: 0.73 and 0.27 of the whole.
    for (size, high) in [(6, [40.0, 39.0]), (64, [40.0, 39.0]), (64, [300.0, 299.5]), (4, [0.1, 0.2])] {
        let mut scores = vec![0.0; size];
        scores[..2].copy_from_slice(&high);
        let softmax = model(&[1, size], &[1, size]).node("Softmax", &["x"], "y", &[]);
        assert!(gap("softmax", softmax, &scores) <= 0.005, "{high:?}");
    }
    let head = linear(model(&[4, 16], &[4, 40]), "x", "h", [16, 40], 4.0, 5).node("Softmax", &["h"], "y", &[]);
    assert!(gap("classifier", head, &noise(64, 6)) <= 0.005);
}

#[test]
fn normalisations_of_rows_far_apart() {
    let rows = |sizes: &[f32]| -> Vec<f32> {
        sizes.iter().enumerate().flat_map(|(i, s)| scaled(noise(16, i as u32 + 1), *s)).collect()
    };
    for (eps, sizes) in [
        (1e-12, [1e-3, 1e3, 1.0, 30.0]),
        (1e-5, [1e-3, 1e3, 1.0, 30.0]),
        (1e-12, [1e-5, 1e2, 1e-2, 1.0]),
        (1e-5, [1e-6, 1e-6, 1e-7, 1e-8]),
        (1e-5, [1e5, 2e5, 1e5, 1e5]),
    ] {
        let m = layer_norm(model(&[4, 16], &[4, 16]), "x", "y", 16, eps);
        assert!(gap("layer norm", m, &rows(&sizes)) <= TOLERANCE, "{eps} {sizes:?}");
        let m = linear(rms_norm(model(&[4, 16], &[4, 8]), "x", "n", eps), "n", "y", [16, 8], 0.5, 3);
        assert!(gap("rms norm", m, &rows(&sizes)) <= TOLERANCE, "{eps} {sizes:?}");
    }
}

#[test]
fn deep_residual_chains() {
    let mut m = model(&[4, 16], &[4, 16]);
    let mut x = String::from("x");
    for layer in 0..24 {
        let (h, r, next) = (format!("h{layer}"), format!("r{layer}"), format!("x{layer}"));
        m = linear(m, &x, &h, [16, 16], 0.4, layer).node("Relu", &[&h], &r, &[]).node("Add", &[&x, &r], &next, &[]);
        x = next;
    }
    assert!(gap("24 layers", m.node("Identity", &[&x], "y", &[]), &noise(64, 9)) <= TOLERANCE);
}

/// Models whose intermediate values are of the kinds that widths must serve.
fn kinds() -> Vec<(&'static str, Onnx, Vec<f32>)> {
    // The residual stream is 1000 times greater than what is added to it.
    let loud = |norm: &dyn Fn(Onnx) -> Onnx| {
        let m = model(&[4, 16], &[4, 16]).constant("c", &[], &[1000.0]).node("Mul", &["x", "c"], "s", &[]);
        linear(norm(m), "n", "b", [16, 16], 0.5, 7).node("Add", &["s", "b"], "t", &[])
    };
    let rms = rms_norm(loud(&|m| rms_norm(m, "s", "n", 1e-6)), "t", "y", 1e-6);
    let layer = layer_norm(loud(&|m| layer_norm(m, "s", "n", 16, 1e-5)), "t", "y", 16, 1e-5);
    let softmax = linear(model(&[4, 16], &[4, 32]), "x", "h", [16, 32], 2.0, 4).node("Softmax", &["h"], "y", &[]);
    let mlp = linear(model(&[4, 16], &[4, 8]), "x", "h", [16, 64], 0.4, 1).node("Sigmoid", &["h"], "r", &[]);
    let mlp = linear(mlp, "r", "y", [64, 8], 0.3, 2);
    let sample = noise(64, 8);
    vec![
        ("rms norm of a loud residual", rms, sample.clone()),
        ("layer norm of a loud residual", layer, sample.clone()),
        ("softmax", softmax, sample.clone()),
        ("mlp", mlp, sample),
    ]
}

#[test]
fn more_bits_never_make_a_model_worse() {
    for residual in ["", ", residual_bits: 10", ", residual_bits: 28"] {
        let names: Vec<&str> = kinds().iter().map(|k| k.0).collect();
        for (kind, name) in names.into_iter().enumerate() {
            let mut before = f64::INFINITY;
            for bits in 10..=14 {
                let (_, m, sample) = kinds().swap_remove(kind);
                let settings = format!("quantise: {{limb_bits: {bits}, tolerance: 1{residual}}}");
                let (_, outcome) = compiled(m, &sample, &settings, true).unwrap_or_else(|e| panic!("{name}: {e}"));
                let gap = outcome.gaps.iter().map(|g| g.relative()).fold(0.0, f64::max);
                println!("{name}{residual}, {bits} bits: {gap:.2e}");
                // Rounding is luck at the scale of the bits that narrow limbs leave.
                assert!(
                    gap <= before * 1.5 || gap < 4e-3,
                    "{name}{residual}: {gap:.1e} at {bits} bits, {before:.1e} before"
                );
                assert!(
                    gap < 16.0 / f64::from(bits).exp2() || gap < 4e-3,
                    "{name}{residual}: {gap:.1e} at {bits} bits"
                );
                before = before.min(gap);
            }
        }
    }
}

#[test]
fn a_gap_above_the_tolerance_is_refused_with_the_worst_node() {
    let m = || {
        let m = linear(model(&[4, 16], &[4, 8]), "x", "h", [16, 32], 0.4, 1).node("Tanh", &["h"], "r", &[]);
        linear(m, "r", "y", [32, 8], 0.3, 2)
    };
    let settings = "quantise: {tolerance: 1e-7, limb_bits: 9}";
    let error = compiled(m(), &noise(64, 8), settings, false).map(drop).unwrap_err();
    let CompileError::Gap { ref output, gap, tolerance, .. } = error else { panic!("{error}") };
    assert!(output == "y" && gap > 1e-4 && tolerance == 1e-7);
    let text = error.to_string();
    for part in ["output \"y\"", "node \"", "; raise `quantise.tolerance`", "--accept-gap"] {
        assert!(text.contains(part), "{text}");
    }
    let (_, outcome) = compiled(m(), &noise(64, 8), settings, true).unwrap();
    assert_eq!(outcome.gaps.len(), 1);
    assert!((outcome.gaps[0].relative() - gap).abs() < 1e-12);
    // What the tolerance needs is chosen without being asked, and said.
    let (artifact, outcome) = compiled(m(), &noise(64, 8), "quantise: {tolerance: 1e-3}", false).unwrap();
    let choice = outcome.choice.unwrap();
    assert!(artifact.model.limb_bits > 12 && choice.contains("limbs of") && choice.contains("lookups for"), "{choice}");
    assert!(outcome.gaps[0].relative() <= 1e-3);
}

#[test]
fn wide_normalisations_compile_in_no_time() {
    let width = 2000;
    let m = layer_norm(model(&[1, width], &[1, width]), "x", "y", width, 1e-5);
    let start = std::time::Instant::now();
    assert!(gap("2000 features", m, &noise(width, 4)) <= TOLERANCE);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// The circuit leaves out the rounding to 8 bits with a scale that is found at run time, but where it matters.
#[test]
fn rounding_is_left_out_where_it_does_not_matter() {
    let dynamic = || {
        model(&[1, 3], &[1, 1])
            .constant("w", &[3, 1], &[0i8, 2, 3])
            .constant("unit", &[], &[0.5])
            .node("DynamicQuantizeLinear", &["x"], "q", &[])
            .and(&["s", "z"])
            .node("MatMulInteger", &["q", "w", "z"], "i", &[])
            .node("Cast", &["i"], "f", &[int("to", 1)])
            .node("Mul", &["s", "unit"], "factor", &[])
            .node("Mul", &["f", "factor"], "y", &[])
    };
    assert!(gap("even", dynamic(), &[0.5, 0.6, 0.7]) <= TOLERANCE);
    // Beside 100 the steps are 0.4 wide.
    assert!(gap("with wide steps", dynamic(), &[100.0, 0.57, 0.57]) <= TOLERANCE);
}

/// So does that of an attention with fixed scales, whose rounded parts stand between its products.
#[test]
fn rounding_of_an_attention_is_left_out() {
    let rounded = |m: Onnx, x: &str, scale: f32| {
        let [s, z, q, y] = ["s", "z", "q", "y"].map(|part| format!("{x}.{part}"));
        m.constant(&s, &[], &[scale]).constant(&z, &[], &[0i8]).node("QuantizeLinear", &[x, &s, &z], &q, &[]).node(
            "DequantizeLinear",
            &[&q, &s, &z],
            &y,
            &[],
        )
    };
    let m = rounded(model(&[1, 4, 8], &[1, 4, 8]), "x", 1.0 / 64.0);
    let m = m.node("Transpose", &["x.y"], "keys", &[ints("perm", &[0, 2, 1])]).node(
        "MatMul",
        &["x.y", "keys"],
        "scores",
        &[],
    );
    let m = rounded(m, "scores", 1.0 / 32.0).node("Softmax", &["scores.y"], "weights", &[int("axis", -1)]);
    let m = rounded(m, "weights", 1.0 / 127.0).node("MatMul", &["weights.y", "x.y"], "y", &[]);
    assert!(gap("attention in bytes", m, &noise(32, 4)) <= TOLERANCE);
}

#[test]
fn few_values_need_no_table_of_a_function() {
    let one = |op: &str, attributes: &[AttributeProto]| model(&[1, 8], &[1, 8]).node(op, &["x"], "y", attributes);
    let clip = model(&[1, 8], &[1, 8]).constant("low", &[], &[-0.2]).constant("high", &[], &[0.7]);
    let slopes = model(&[1, 8], &[1, 8]).constant("slope", &[1], &[0.25]);
    let mlp = linear(model(&[1, 8], &[1, 4]), "x", "h", [8, 16], 0.3, 1).node("Relu", &["h"], "r", &[]);
    let models = [
        ("relu", one("Relu", &[])),
        ("leaky", one("LeakyRelu", &[float("alpha", 0.1)])),
        ("abs", one("Abs", &[])),
        ("hard sigmoid", one("HardSigmoid", &[])),
        ("root", one("Sqrt", &[])),
        ("clip", clip.node("Clip", &["x", "low", "high"], "y", &[])),
        ("prelu", slopes.node("PRelu", &["x", "slope"], "y", &[])),
        ("linear", linear(model(&[1, 8], &[1, 4]), "x", "y", [8, 4], 0.3, 5)),
        ("mlp", linear(mlp, "r", "y", [16, 4], 0.3, 2)),
    ];
    for (name, model) in models {
        for input in ["public", "private"] {
            let sample: Vec<f32> = noise(8, 3).iter().map(|v| if name == "root" { v.abs() } else { *v }).collect();
            let (artifact, outcome) = compiled(model.clone(), &sample, &format!("input: {input}"), false).unwrap();
            let gap = outcome.gaps.iter().map(|g| g.relative()).fold(0.0, f64::max);
            let (bits, k) = (artifact.model.limb_bits, artifact.shapes[0].plan.geometry.k);
            println!("{name}, {input}: {gap:.1e}, {bits} bits, 2^{k} rows");
            assert!(gap < 2e-4 && (bits, k) == (8, 9), "{name}, {input}: {gap:.1e}, {bits} bits, 2^{k} rows");
        }
    }
}
