//! The fidelity bars on real models, and random models of every op family.

mod common;

use common::{Shared, quantised};
use nanozk_compiler::{config::Config, fidelity, quantise};

#[test]
fn kjvgpt_keeps_its_perplexity_and_choices() {
    let Some(m) = Shared::load("kjvgpt-d64-l4") else { return };
    let model = quantised(&m, &Config::default());
    assert_eq!(model.layers.len(), 6);
    assert_eq!(model.shapes.len(), 3);
    let f = fidelity::evaluate(&m.graph, &model, &m.validation(), 200).unwrap();
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
fn blocks_stay_within_a_hundredth() {
    for name in ["block-d16-t16", "block-d32-t16", "block-d64-t16", "block-d128-t16", "block-d64-t64"] {
        let Some(m) = Shared::load(name) else { return };
        for limb_bits in [12, 11, 10] {
            let mut config = Config::default();
            config.quantise.limb_bits = limb_bits;
            let model = quantised(&m, &config);
            let pair = fidelity::run_both(&m.graph, &model, &m.input).unwrap();
            let mut meter = fidelity::Meter::default();
            meter.add(&pair.float[0], &pair.integer[0], m.graph.tokens, m.graph.tokens, None);
            let error = meter.fidelity().max_abs_error.unwrap();
            let counts: Vec<u64> = quantise::lookups(&model).iter().map(|c| c.total).collect();
            println!("{name} b={limb_bits}: max error {error:.2e}, lookups {counts:?}");
            assert!(error < 1e-2 || limb_bits < 12, "{name}: {error}");
        }
    }
}
