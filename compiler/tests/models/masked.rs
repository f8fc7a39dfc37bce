//! What has no answer, or one that masks decide: softmax of scores that are all hidden, lengths of 0, and divisors of 0.

use super::general::numbers;
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::frontend::Reference;
use nanozk_compiler::onnx::{DataType, Onnx, float, int, ints};
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::float::InputValue;
use nanozk_ir::int::interp::{clamps, run_seen};

/// Sequences, tokens of each, features.
const B: usize = 2;
const T: usize = 4;
const D: usize = 3;

/// The compiled model, and the source model.
pub fn compiled(onnx: Onnx, sample: &[Vec<f32>]) -> (Artifact, Reference) {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path()).unwrap();
    let data = folder.path().join("input.json");
    std::fs::write(&data, serde_json::json!({ "input_data": sample }).to_string()).unwrap();
    let artifact = compile(&path, &CompileOptions { data: vec![data], ..Default::default() }, &|_| {}).unwrap();
    let reference = artifact.source.reference(None).unwrap();
    (artifact, reference)
}

/// A batch, which is read as one token.
fn batch() -> Onnx {
    Onnx::default().input("x", &[B, T, D])
}

/// Shares without weights: scores `s` are masked by `mask` to `masked`.
fn shares(onnx: Onnx, mask: impl FnOnce(Onnx) -> Onnx) -> Onnx {
    let scores =
        onnx.node("Transpose", &["x"], "xt", &[ints("perm", &[0, 2, 1])]).node("MatMul", &["x", "xt"], "s", &[]);
    mask(scores).node("Softmax", &["masked"], "shares", &[int("axis", -1)])
}

/// What they make of the batch.
fn attended(onnx: Onnx, shares: &str) -> Onnx {
    onnx.node("MatMul", &[shares, "x"], "y", &[]).output("y", &[B, T, D])
}

/// Attention with a mask of whole numbers.
fn attention(mask: impl FnOnce(Onnx) -> Onnx) -> Onnx {
    attended(shares(batch().whole_input("m", &[B, 1, T]), mask), "shares")
}

/// 0 where the mask is 1, and the penalty where it is 0, as `p`.
fn penalties(onnx: Onnx, penalty: f32) -> Onnx {
    penalties_by(onnx.node("Cast", &["m"], "shown", &[int("to", DataType::Float as i64)]), "shown", penalty)
}

/// The same of a mask of floats.
fn penalties_by(onnx: Onnx, shown: &str, penalty: f32) -> Onnx {
    onnx.constant("one", &[], &[1f32])
        .constant("penalty", &[], &[penalty])
        .node("Sub", &["one", shown], "hidden", &[])
        .node("Mul", &["hidden", "penalty"], "p", &[])
}

/// The penalty in the place of what the mask hides.
fn replaced(onnx: Onnx, penalty: f32) -> Onnx {
    onnx.constant("penalty", &[], &[penalty]).node("Cast", &["m"], "shown", &[int("to", DataType::Bool as i64)]).node(
        "Where",
        &["shown", "s", "penalty"],
        "masked",
        &[],
    )
}

/// The penalty for tokens behind one's own.
fn causal(penalty: f32) -> Vec<f32> {
    (0..T * T).map(|i| if i % T > i / T { penalty } else { 0.0 }).collect()
}

/// All of the first sequence is visible, and so much of the end of the second.
fn mask(shown: usize) -> Vec<f32> {
    (0..B * T).map(|i| if i < T || i % T >= T - shown { 1.0 } else { 0.0 }).collect()
}

/// What an input gives: the gap from the source model, and the values that are counted; or why it has no answer.
fn given((artifact, reference): &(Artifact, Reference), x: &[f32], mask: &[f32]) -> Result<(f64, u64), String> {
    let mask = mask.iter().map(|&m| m as i64).collect();
    let sample = vec![InputValue::Float(x.to_vec()), InputValue::Integer(mask)];
    let floats = reference.run(&sample).map_err(|e| e.to_string())?;
    let measured = artifact.models().measure(&[sample], &[floats]).map_err(|e| e.to_string())?;
    Ok((measured.gap(), measured.clamps.iter().map(|clamp| clamp.saturated).sum()))
}

/// Masks that leave all, some and nothing of the second sequence visible.
fn agree(onnx: Onnx) {
    let x = numbers(B * T * D);
    let model = compiled(onnx, &[x.clone(), mask(T)]);
    assert_eq!(model.0.model.tokens, 1);
    for shown in [T, 2, 1, 0] {
        let (gap, counted) = given(&model, &x, &mask(shown)).unwrap();
        assert!(gap < 0.05 && counted == 0, "{shown} shown: {gap}, {counted} counted");
    }
}

#[test]
fn a_row_that_a_finite_mask_hides_has_the_answer_of_the_model() {
    for penalty in [-1e4, -1e9, f32::MIN] {
        agree(attention(|onnx| penalties(onnx, penalty).node("Add", &["s", "p"], "masked", &[])));
        agree(attention(|onnx| replaced(onnx, penalty)));
    }
}

/// Where both masks hide an entry it lies below those that one of them hides.
#[test]
fn a_row_that_two_masks_hide_has_the_answer_of_the_model() {
    for penalty in [-1e4, -1e9, f32::MIN] {
        let both = |onnx: Onnx| penalties(onnx, penalty).constant("causal", &[T, T], &causal(penalty));
        agree(attention(|onnx| {
            both(onnx).node("Add", &["s", "p"], "once", &[]).node("Add", &["once", "causal"], "masked", &[])
        }));
        agree(attention(|onnx| {
            both(onnx).node("Add", &["p", "causal"], "mask", &[]).node("Add", &["s", "mask"], "masked", &[])
        }));
    }
    // Behind one's own token everything is infinitely far.
    agree(attention(|onnx| {
        penalties(onnx, -1e9)
            .constant("causal", &[T, T], &causal(f32::NEG_INFINITY))
            .node("Add", &["s", "p"], "once", &[])
            .node("Add", &["once", "causal"], "masked", &[])
    }));
}

/// There ONNX has no number, and no prover may give one.
#[test]
fn a_row_that_an_infinite_mask_hides_has_no_proof() {
    let onnx = attention(|onnx| replaced(onnx, f32::NEG_INFINITY));
    let x = numbers(B * T * D);
    let model = compiled(onnx, &[x.clone(), mask(T)]);
    for shown in [T, 1] {
        let (gap, counted) = given(&model, &x, &mask(shown)).unwrap();
        assert!(gap < 0.02 && counted == 0, "{shown} shown: {gap}, {counted} counted");
    }
    let refused = given(&model, &x, &mask(0)).unwrap_err();
    assert!(refused.contains("`shares.visible`") && refused.contains("hides every entry"), "{refused}");
}

/// A model that knows what to do with such rows has a proof for them.
#[test]
fn rows_without_a_number_that_are_replaced_have_a_proof() {
    let onnx = shares(batch().whole_input("m", &[B, 1, T]), |onnx| replaced(onnx, f32::NEG_INFINITY))
        .constant("zero", &[], &[0f32])
        .node("IsNaN", &["shares"], "empty", &[])
        .node("Where", &["empty", "zero", "shares"], "numbers", &[]);
    agree(attended(onnx, "numbers"));
}

/// A mask of real numbers is a score like others: that a row of them is as low as what masks hide is counted.
#[test]
fn rows_of_very_low_scores_are_counted() {
    let masked = |onnx| penalties_by(onnx, "m", -1e9).node("Add", &["s", "p"], "masked", &[]);
    let onnx = attended(shares(batch().input("m", &[B, 1, T]), masked), "shares");
    let x = numbers(B * T * D);
    let (artifact, reference) = compiled(onnx, &[x.clone(), mask(2)]);
    let counted = |mask: Vec<f32>| {
        let sample = vec![InputValue::Float(x.clone()), InputValue::Float(mask)];
        let floats = reference.run(&sample).unwrap();
        let clamps = artifact.models().measure(&[sample], &[floats]).unwrap().clamps;
        clamps.iter().map(|clamp| (clamp.saturated, clamp.node.clone())).filter(|c| c.0 > 0).collect::<Vec<_>>()
    };
    assert_eq!(counted(mask(1)), []);
    assert_eq!(counted(mask(0)), [((T * T) as u64, "shares.exp".to_owned())]);
}

/// Rows of zeros have a length of 0, and no direction; with an epsilon they have.
#[test]
fn rows_that_are_divided_by_a_length_of_zero_are_counted() {
    let input = || Onnx::default().input("x", &[2, 3]);
    let plain = input().node("ReduceL2", &["x"], "length", &[ints("axes", &[-1]), int("keepdims", 1)]);
    let lengths = |least: Option<f32>| {
        let plain = plain.clone();
        let (onnx, divisor) = match least {
            None => (plain, "length"),
            Some(least) => {
                (plain.constant("least", &[], &[least]).node("Max", &["length", "least"], "some", &[]), "some")
            }
        };
        onnx.node("Div", &["x", divisor], "y", &[]).output("y", &[2, 3])
    };
    let normalised = |epsilon: f32| {
        let onnx = input().constant("g", &[3], &[1f32; 3]);
        onnx.node("LayerNormalization", &["x", "g"], "y", &[float("epsilon", epsilon)]).output("y", &[2, 3])
    };
    let cases = [(lengths(None), 1), (lengths(Some(1e-12)), 0), (normalised(0.0), 1), (normalised(1e-5), 0)];
    for (case, (onnx, expected)) in cases.into_iter().enumerate() {
        let (artifact, _) = compiled(onnx, &[vec![0.5, -0.9, 0.2, 1.0, 0.3, -0.1]]);
        let mut counted = 0;
        let mut see = |layer: usize, values: &[Vec<i64>]| {
            counted += clamps(&artifact.model, layer, values).iter().map(|clamp| clamp.saturated).sum::<u64>();
        };
        run_seen(&artifact.model, &[vec![900, -20, 77, 0, 0, 0]], &mut see).unwrap();
        assert_eq!(counted, expected, "{case}");
    }
}

/// ONNX has no whole number that is divided by 0, and no prover may give one; nor does the source model's panic come through.
#[test]
fn whole_numbers_that_are_divided_by_0_have_no_proof() {
    for op in ["Div", "Mod"] {
        let onnx = Onnx::default()
            .whole_input("a", &[2])
            .whole_input("b", &[2])
            .constant("c", &[], &[9i64])
            .node("Sub", &["b", "c"], "divisor", &[])
            .node(op, &["a", "divisor"], "whole", &[])
            .node("Cast", &["whole"], "y", &[int("to", 1)])
            .output("y", &[2]);
        let (artifact, reference) = compiled(onnx, &[vec![17.0, -29.0], vec![14.0, 2.0]]);
        let sample = |b: [i64; 2]| vec![InputValue::Integer(vec![17, -29]), InputValue::Integer(b.to_vec())];
        let stopped = reference.run(&sample([14, 9])).unwrap_err().to_string();
        assert!(stopped.contains("it stopped on this input") && stopped.contains("keep divisors from 0"), "{stopped}");
        let floats = reference.run(&sample([14, 10])).unwrap();
        let gap = |b| artifact.models().measure(&[sample(b)], std::slice::from_ref(&floats));
        assert_eq!(gap([14, 10]).unwrap().gap(), 0.0, "divided by 1");
        let refused = gap([14, 9]).unwrap_err().to_string();
        assert!(refused.contains("divisor`, element 1: it is a divisor of 0"), "{op}: {refused}");
    }
}
