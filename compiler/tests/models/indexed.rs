//! Columns of an input that index tables of different sizes.

use crate::general::compiled;
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::InputInfo;
use nanozk_compiler::frontend::{LoadOptions, load};
use nanozk_compiler::onnx::{Onnx, int};
use nanozk_ir::float::{InputKind, InputValue};

/// Rows of two numbers each.
const LARGE: [f32; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
const SMALL: [f32; 4] = [20.0, 10.0, 40.0, 30.0];

/// The first element of `x` names a row of [`LARGE`], the second one of [`SMALL`], the third is added to their sum.
fn columns(model: Onnx) -> Onnx {
    ["0", "1", "2"]
        .iter()
        .enumerate()
        .fold(model, |model, (i, name)| {
            let column = format!("c{name}");
            model.constant(name, &[1], &[i as i64]).node("Gather", &["x", name], &column, &[int("axis", 1)])
        })
        .constant("large", &[5, 2], &LARGE)
        .constant("small", &[2, 2], &SMALL)
        .node("Cast", &["c0"], "i0", &[int("to", 7)])
        .node("Cast", &["c1"], "i1", &[int("to", 7)])
        .node("Cast", &["c2"], "number", &[int("to", 1)])
        .node("Gather", &["large", "i0"], "r0", &[])
        .node("Gather", &["small", "i1"], "r1", &[])
        .node("Add", &["r0", "r1"], "rows", &[])
        .node("Add", &["rows", "number"], "y", &[])
        .output("y", &[1, 1, 2])
}

/// How far what the proof would say of `x` is from `want`, or why there is no proof.
fn answer(artifact: &Artifact, x: InputValue, want: [f64; 2]) -> Result<f64, String> {
    artifact.models().measure(&[vec![x]], &[vec![want.to_vec()]]).map(|gaps| gaps.gap()).map_err(|e| e.to_string())
}

fn check(model: Onnx, value: impl Fn([i64; 3]) -> InputValue) {
    let (artifact, gap) = compiled(columns(model), &[vec![2.0, 1.0, 3.0]]);
    assert!(gap < 1e-3, "{gap}");
    assert!(answer(&artifact, value([4, 1, 0]), [49.0, 40.0]).unwrap() < 1e-3);
    assert!(answer(&artifact, value([0, 0, 2]), [23.0, 14.0]).unwrap() < 1e-3);
    // ONNX has no row beyond a table.
    for beyond in [2, 4] {
        let refused = answer(&artifact, value([1, beyond, 0]), [0.0, 0.0]).unwrap_err();
        assert!(
            refused.contains("`r1.most`, element 0: it is a divisor of 0 or an index beyond its axis"),
            "{refused}"
        );
    }
}

#[test]
fn columns_of_whole_numbers_index_tables_of_their_own() {
    check(Onnx::default().whole_input("x", &[1, 3]), |x| InputValue::Integer(x.to_vec()));
}

#[test]
fn columns_of_real_numbers_index_tables_too() {
    let value = |x: [i64; 3]| InputValue::Float(x.map(|v| v as f32).to_vec());
    check(Onnx::default().input("x", &[1, 3]), value);
}

/// The range of an input is that of its largest table where samples show numbers, and of its smallest where there are none.
#[test]
fn the_range_of_an_input_is_that_of_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let tables = |model: Onnx| {
        model
            .constant("0", &[], &[0i64])
            .constant("1", &[], &[1i64])
            .constant("large", &[5, 2], &LARGE)
            .constant("small", &[2, 2], &SMALL)
            .node("Gather", &["x", "0"], "i0", &[int("axis", 1)])
            .node("Gather", &["x", "1"], "i1", &[int("axis", 1)])
            .node("Gather", &["large", "i0"], "r0", &[])
            .node("Gather", &["small", "i1"], "r1", &[])
            .node("Add", &["r0", "r1"], "y", &[])
            .output("y", &[1, 2])
    };
    let path = tables(Onnx::default().whole_input("x", &[1, 2])).write(folder.path()).unwrap();
    let loaded = |seen| load(&path, &LoadOptions { seen: vec![seen], ..Default::default() }).unwrap();
    let kind = |inputs: &[InputInfo]| inputs[0].kind.clone();
    let with = loaded(Some((0.0, 1.0)));
    assert_eq!(kind(&with.inputs), InputKind::Integer { lo: 0, hi: 4 });
    assert!(with.notes.is_empty(), "{:?}", with.notes);
    let without = loaded(None);
    assert_eq!(kind(&without.inputs), InputKind::Integer { lo: 0, hi: 1 });
    assert!(without.notes.is_empty(), "{:?}", without.notes);
}
