//! The fidelity bars on real models, and agreement with the float model on every exporter form.

mod common;

use common::{Shared, evaluate, forms, models, quantised, sample};
use nanozk_compiler::{
    artifact::Artifact,
    config::{Config, Head, Visibility},
    error::CompileError,
    fidelity::{Meter, Pair},
    partition::partition,
    pipeline::{CompileOptions, compile},
    quantise::{self, QuantiseError, Stats},
};
use nanozk_ir::int::{Model, Op, interp, ops, ranges};

/// Largest difference over the outputs of one run, relative to the largest float output (at least 1).
fn gap(pair: &Pair) -> f64 {
    let largest = pair.float.iter().flatten().fold(1f64, |a, v| a.max(v.abs()));
    let pairs = pair.float.iter().flatten().zip(pair.integer.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

/// Static bounds recomputed from the model's inputs lie within the bounds stored in its shapes.
fn bounds_hold(model: &Model) {
    let all = ranges::analyse(model).unwrap();
    for (layer, found) in model.layers.iter().zip(all) {
        for (node, range) in model.shapes[layer.shape as usize].nodes.iter().zip(found) {
            let (lo, hi) = range.bounds();
            assert!(node.lo <= lo && hi <= node.hi, "{} {}: [{lo}, {hi}]", layer.name, node.name);
        }
    }
}

#[test]
fn kjvgpt_keeps_its_perplexity_and_choices() {
    let Some(m) = Shared::load("kjvgpt-d64-l4") else { return };
    let model = quantised(&m, &Config::default());
    assert_eq!(model.layers.len(), 6);
    assert_eq!(model.shapes.len(), 3);
    bounds_hold(&model);
    let f = evaluate(&m.models(&model, Head::Logits), &m, 200);
    println!("kjvgpt: {f:?}");
    for (shape, count) in quantise::lookups(&model).iter().enumerate() {
        println!("shape {shape}: {count:?}");
    }
    let (float, integer) = (f.perplexity_float.unwrap(), f.perplexity_integer.unwrap());
    assert_eq!(f.positions, 12_800);
    assert!((float - 4.393).abs() < 1e-3, "{float}");
    assert!((integer / float - 1.0).abs() < 1e-3, "{integer} against {float}");
    assert!(f.top1_agreement >= 0.995, "{}", f.top1_agreement);
}

#[test]
fn kjvgpt_with_argmax_chooses_as_with_logits() {
    let Some(m) = Shared::load("kjvgpt-d64-l4").map(Shared::with_argmax) else { return };
    let config = Config { head: Head::Argmax, ..Config::default() };
    let model = quantised(&m, &config);
    let f = evaluate(&m.models(&model, Head::Argmax), &m, 20);
    assert!(f.max_abs_error.is_none() && f.top1_agreement >= 0.99, "{f:?}");
}

/// A bundled model compiled on its sample with these settings.
fn compiled(name: &str, settings: &str) -> Artifact {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx-models").join(name);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("nanozk.yaml");
    std::fs::write(&config, settings).unwrap();
    let data = vec![folder.join("input.json")];
    let options = CompileOptions { data, config: Some(config), ..Default::default() };
    compile(&folder.join("network.onnx"), &options, &|_| {}).unwrap()
}

/// Limbs are narrower than usual where a small model gets a cheaper proof and stays faithful, and nowhere else.
#[test]
fn narrow_limbs() {
    for (name, settings, bits) in [
        ("block-d16-t16", "", 10),
        ("block-d16-t16", "quantise: {narrow_tolerance: 0.001}", 11),
        ("block-d16-t16", "quantise: {narrow_tolerance: 0}", 12),
        ("block-d16-t16", "quantise: {limb_bits: 12}", 12),
        ("block-d16-t16", "{quantise: {narrow_tolerance: 0.0001}, max_k: 20}", 12),
        // No width keeps this tolerance, and narrow limbs fit the SRS of the program.
        ("block-d16-t16", "quantise: {narrow_tolerance: 0.0001}", 11),
        // Activations of two limbs, and no function that needs a table.
        ("mlp-digits", "quantise: {narrow_tolerance: 0.0005}", 8),
        ("kjvgpt-d64-l4", "{quantise: {narrow_tolerance: 1}, max_k: 20}", 12),
    ] {
        let artifact = compiled(name, settings);
        assert_eq!(artifact.model.limb_bits, bits, "{name}, {settings}");
        if settings.is_empty() {
            let m = Shared::bundled(name);
            let floats = m.loaded.reference.run(&m.input).unwrap();
            let gap = artifact.models().measure(&[m.input], &[floats]).unwrap().gap();
            assert!(gap < 0.002, "{name}: {gap}");
        }
    }
}

#[test]
fn blocks_stay_within_a_hundredth() {
    for name in ["block-d16-t16", "block-d32-t16", "block-d64-t16", "block-d128-t16", "block-d64-t64"] {
        let Some(m) = Shared::load(name) else { return };
        for limb_bits in [12, 11, 10] {
            let mut config = Config::default();
            config.quantise.limb_bits = Some(limb_bits);
            let model = quantised(&m, &config);
            let (models, mut meter) = (m.models(&model, Head::Logits), Meter::default());
            models.add(&mut meter, &models.run(&m.loaded.reference, &m.input).unwrap(), 0, model.tokens, None);
            let error = meter.fidelity().max_abs_error.unwrap();
            let counts: Vec<u64> = quantise::lookups(&model).iter().map(|c| c.total).collect();
            println!("{name} b={limb_bits}: max error {error:.2e}, lookups {counts:?}");
            assert!(error < 1e-2 || limb_bits < 12, "{name}: {error}");
        }
    }
}

/// A Llama-style decoder, a BERT-style encoder with key mask, a classifier.
#[test]
fn bundled_models_keep_their_accuracy() {
    // The classifier is calibrated on a single image.
    for (name, layers, tolerance) in [("llama-d64-l2", 4, 1e-3), ("bert-d64-l2", 4, 1e-3), ("mlp-digits", 1, 5e-3)] {
        let m = Shared::bundled(name);
        let model = quantised(&m, &Config::default());
        bounds_hold(&model);
        let f = evaluate(&m.models(&model, Head::Logits), &m, 200);
        let counts: Vec<u64> = quantise::lookups(&model).iter().map(|c| c.total).collect();
        println!("{name}: {f:?}, {} layers, lookups {counts:?}", model.layers.len());
        let (float, integer) = (f.perplexity_float.unwrap(), f.perplexity_integer.unwrap());
        assert!((integer / float - 1.0).abs() < tolerance, "{name}: {integer} against {float}");
        assert!(f.top1_agreement >= 0.995, "{name}: {}", f.top1_agreement);
        assert_eq!(model.layers.len(), layers, "{name}");
    }
}

#[test]
fn private_tensors_are_range_checked_and_as_exact() {
    let Some(m) = Shared::load("block-d16-t16") else { return };
    let config = Config { input: Visibility::Private, output: Visibility::Private, ..Config::default() };
    let model = quantised(&m, &config);
    assert!(model.shapes[0].nodes.iter().any(|n| matches!(n.op, Op::Range(ops::Range { .. }))));
    assert!(gap(&m.models(&model, Head::Logits).run(&m.loaded.reference, &m.input).unwrap()) < 1e-2);
}

/// Every form that the front end reads is quantised and stays close to the float model on inputs that calibration did
/// not see.
#[test]
fn exporter_forms_agree_with_the_float_model() {
    let mut read = 0;
    for (name, loaded) in forms() {
        let seen: Vec<_> = (0..8).map(|seed| sample(&loaded.inputs, seed)).collect();
        let stats = Stats::collect(&loaded.graph, &seen).unwrap();
        let config = Config::default();
        let partition = partition(&loaded.graph, config.quantise.layer_lookups);
        let model = quantise::quantise(&loaded.graph, &partition, &stats, &config)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .model;
        bounds_hold(&model);
        let mut worst: f64 = 0.0;
        for seed in 100..108 {
            let pair = models(&loaded, &model, Head::Logits).run(&loaded.reference, &sample(&loaded.inputs, seed));
            worst = worst.max(gap(&pair.unwrap_or_else(|e| panic!("{name}: {e}"))));
        }
        println!("{name}: {worst:.2e}, {} shapes, {} layers", model.shapes.len(), model.layers.len());
        assert!(worst < 1e-2, "{name}: {worst}");
        read += 1;
    }
    assert!(read > 30, "only {read} forms were read");
}

#[test]
fn bad_calibration_and_inputs_are_refused() {
    let Some(m) = Shared::load("block-d16-t16") else { return };
    assert!(matches!(Stats::collect(&m.loaded.graph, &[]), Err(QuantiseError::NoData)));
    let model = quantised(&m, &Config::default());
    let huge = nanozk_ir::float::InputValue::Float(vec![1e9; 16 * 16]);
    let encoded = |inputs: &[_]| quantise::encode(&model, inputs).map_err(|e| CompileError::from(e).to_string());
    let refused = encoded(std::slice::from_ref(&huge)).unwrap_err();
    assert!(refused.contains("the model was compiled for"), "{refused}");
    assert!(refused.ends_with("; add sample data that covers it"), "{refused}");
    let nan = nanozk_ir::float::InputValue::Float(vec![f32::NAN; 16 * 16]);
    assert!(encoded(std::slice::from_ref(&nan)).unwrap_err().contains("value 0 is NaN; "));
    assert!(matches!(Stats::collect(&m.loaded.graph, &[vec![nan]]), Err(QuantiseError::NotFinite { .. })));
    assert_eq!(
        encoded(&[]).unwrap_err(),
        "input `model`: 1 inputs expected, 0 given; change the model or its sample data"
    );
}

#[test]
fn a_window_is_interpreted_fast() {
    let Some(m) = Shared::load("kjvgpt-d64-l4") else { return };
    let model = quantised(&m, &Config::default());
    let inputs = quantise::encode(&model, &m.input).unwrap();
    let start = std::time::Instant::now();
    let tensors = interp::run_model(&model, &inputs).unwrap();
    println!("one window: {:?}", start.elapsed());
    assert_eq!(tensors.len(), model.tensors.len());
}
