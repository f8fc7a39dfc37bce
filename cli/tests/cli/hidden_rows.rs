//! Inputs to which the ONNX model has no answer, or one that masks decide, from the file to the verdict.

use crate::common::{Run, listing, nanozk};
use nanozk_compiler::onnx::{DataType, Onnx, int, ints};
use std::fs;
use std::path::Path;

/// Sequences, tokens of each, features.
const B: usize = 2;
const T: usize = 3;
const D: usize = 2;

/// Attention over a batch, which is read as one token, with this penalty for hidden entries.
fn attention(penalty: f32) -> Onnx {
    Onnx::default()
        .input("x", &[B, T, D])
        .whole_input("m", &[B, 1, T])
        .constant("penalty", &[], &[penalty])
        .node("Transpose", &["x"], "xt", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "xt"], "s", &[])
        .node("Cast", &["m"], "shown", &[int("to", DataType::Bool as i64)])
        .node("Where", &["shown", "s", "penalty"], "masked", &[])
        .node("Softmax", &["masked"], "shares", &[int("axis", -1)])
        .node("MatMul", &["shares", "x"], "y", &[])
        .output("y", &[B, T, D])
}

fn numbers() -> Vec<f64> {
    (0..B * T * D).map(|i| (i * 5 % 7) as f64 / 4.0 - 0.75).collect()
}

/// A file of input data.
fn data(dir: &Path, name: &str, inputs: &[&[f64]]) {
    fs::write(dir.join(name), serde_json::json!({ "input_data": inputs }).to_string()).expect("writes");
}

/// A folder with the model of a file, compiled on `sample`, and its keys.
fn set_up(onnx: Onnx, sample: &[&[f64]]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    onnx.write(dir.path()).expect("writes");
    data(dir.path(), "sample.json", sample);
    nanozk(dir.path(), &["compile", "model.onnx", "--data", "sample.json", "-o", "m.nanozk", "--json"]).json();
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    dir
}

fn prove(dir: &Path, options: &[&str]) -> Run {
    nanozk(dir, &[&["prove", "keys", "--input", "in.json", "-o", "p.nanozk", "--json"], options].concat())
}

/// The softmax of equal scores is even: each token of the hidden sequence sees the mean of it.
#[test]
fn a_row_that_a_finite_mask_hides_is_verified_with_the_answer_of_the_model() {
    let x = numbers();
    let dir = set_up(attention(-1e9), &[&x, &[1.0; B * T]]);
    data(dir.path(), "in.json", &[&x, &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]);
    prove(dir.path(), &["--strict"]).json();
    let verdict =
        nanozk(dir.path(), &["verify", "keys/verifier.nanozk", "p.nanozk", "--input", "in.json", "--json"]).json();
    assert_eq!(verdict["verified"], true);
    let values = verdict["output"][0]["values"].as_array().expect("values");
    for (at, value) in values.iter().enumerate().skip(T * D) {
        let mean = (0..T).map(|t| x[(T + t) * D + at % D]).sum::<f64>() / T as f64;
        let gap = (value.as_f64().expect("a number") - mean).abs();
        assert!(gap < 0.01, "{at}: {value} for {mean}");
    }
}

#[test]
fn a_row_that_an_infinite_mask_hides_is_refused_by_node_and_row() {
    let x = numbers();
    let dir = set_up(attention(f32::NEG_INFINITY), &[&x, &[1.0; B * T]]);
    data(dir.path(), "in.json", &[&x, &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]);
    let parts = ["node `shares.visible`, row 3", "hides every entry", "leave an entry of each row visible"];
    nanozk(dir.path(), &["run", "m.nanozk", "--input", "in.json"]).fails_with(&parts);
    prove(dir.path(), &[]).fails_with(&parts);
    assert!(!listing(dir.path()).contains(&"p.nanozk".to_owned()));
    data(dir.path(), "in.json", &[&x, &[1.0, 1.0, 1.0, 0.0, 1.0, 0.0]]);
    prove(dir.path(), &["--strict"]).json();
}

#[test]
fn a_row_of_zeros_over_its_length_is_refused_by_strict() {
    let onnx = Onnx::default()
        .input("x", &[2, 3])
        .node("ReduceL2", &["x"], "length", &[ints("axes", &[-1]), int("keepdims", 1)])
        .node("Div", &["x", "length"], "y", &[])
        .output("y", &[2, 3]);
    let dir = set_up(onnx, &[&[0.5, -0.9, 0.2, 1.0, 0.3, -0.1]]);
    data(dir.path(), "in.json", &[&[0.5, -0.9, 0.2, 0.0, 0.0, 0.0]]);
    prove(dir.path(), &["--strict"]).fails_with(&["1 values saturate", "1 of 2 at node \"", "leave out --strict"]);
    assert!(!listing(dir.path()).contains(&"p.nanozk".to_owned()));
    let report = prove(dir.path(), &[]).json();
    assert_eq!(report["saturated"][0]["saturated"], 1, "{report}");
    data(dir.path(), "in.json", &[&[0.5, -0.9, 0.2, 0.0, 0.0, 0.4]]);
    prove(dir.path(), &["--strict"]).json();
}

/// What the ONNX file divides by must not be 0, whoever gives it.
#[test]
fn a_whole_number_divided_by_0_is_refused() {
    let onnx = Onnx::default()
        .whole_input("a", &[2])
        .whole_input("b", &[2])
        .constant("c", &[], &[9i64])
        .node("Sub", &["b", "c"], "divisor", &[])
        .node("Div", &["a", "divisor"], "whole", &[])
        .node("Cast", &["whole"], "y", &[int("to", DataType::Float as i64)])
        .output("y", &[2]);
    let dir = set_up(onnx, &[&[17.0, 30.0], &[14.0, 2.0]]);
    data(dir.path(), "in.json", &[&[17.0, 30.0], &[14.0, 9.0]]);
    prove(dir.path(), &[]).fails_with(&["element 1: it is a divisor of 0", "keep divisors from 0"]);
    nanozk(dir.path(), &["run", "m.nanozk", "--input", "in.json"]).fails_with(&["divi", "0"]);
    let check = nanozk(dir.path(), &["check", "keys/verifier.nanozk"]);
    assert!(check.stdout.contains("\ntables     none\n"), "{}{}", check.stdout, check.stderr);
}

/// The sample data are refused, and not the model.
#[test]
fn sample_data_that_are_not_finite_are_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let onnx = Onnx::default().input("x", &[4]).input("z", &[4]).node("Mod", &["x", "z"], "y", &[int("fmod", 1)]);
    onnx.output("y", &[4]).write(dir.path()).expect("writes");
    // The words of Python's JSON.
    let words = r#"{"input_data": [[0.5, -2.5, 1.5, 3.0], [2.0, Infinity, NaN, 1.0]]}"#;
    fs::write(dir.path().join("in.json"), words).expect("writes");
    nanozk(dir.path(), &["compile", "model.onnx", "--data", "in.json", "-o", "m.nanozk"])
        .fails_with(&["input 1 (\"z\"), value 1: inf is not a finite", "correct the value"]);
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for (x, z, place) in [
        // Within these extents a remainder is no longer exact.
        ([0.5, inf, -inf, 3.0], [2.0, inf, 1.5, -inf], "input 0 (\"x\"), value 1: inf"),
        ([0.5, -2.5, 1.5, 3.0], [2.0, 1.5, nan, 1.0], "input 1 (\"z\"), value 2: NaN"),
    ] {
        let mut npz = ndarray_npy::NpzWriter::new(fs::File::create(dir.path().join("in.npz")).expect("creates"));
        npz.add_array("x", &ndarray::arr1(&x)).expect("writes");
        npz.add_array("z", &ndarray::arr1(&z)).expect("writes");
        npz.finish().expect("writes");
        nanozk(dir.path(), &["compile", "model.onnx", "--data", "in.npz", "-o", "m.nanozk"]).fails_with(&[
            place,
            "is not a finite",
            "correct the value",
        ]);
    }
}
