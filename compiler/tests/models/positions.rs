//! Rotary angles of positions that are an input of the model.

use nanozk_compiler::frontend::{LoadOptions, load};
use nanozk_compiler::onnx::{Onnx, int};
use nanozk_ir::float::{InputKind, Op};

/// Cosines of positions and of multiples of them, in one list: rows of one table, exact at every position.
#[test]
fn angles_of_positions_are_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = Onnx::default()
        .whole_input("positions", &[1, 8])
        .constant("frequency", &[], &[0.3])
        .node("Cast", &["positions"], "real", &[int("to", 1)])
        .node("Mul", &["real", "frequency"], "slow", &[])
        .node("Concat", &["real", "slow"], "angles", &[int("axis", 1)])
        .node("Cos", &["angles"], "y", &[])
        .output("y", &[1, 16])
        .write(folder.path())
        .unwrap();
    let model = load(&path, &LoadOptions { seen: vec![Some((0.0, 7.0))], ..Default::default() }).unwrap();
    let ops: Vec<&Op> = model.graph.topo().into_iter().map(|id| &model.graph.dag[id].op).collect();
    let table = ops.iter().find_map(|op| if let Op::Embed { table, .. } = op { Some(table) } else { None });
    let table = table.unwrap().read().unwrap();
    let expected: Vec<f32> = (0..8).flat_map(|p| [1.0, 0.3].map(|f: f64| (f64::from(p) * f).cos() as f32)).collect();
    assert!(table.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{table:?}");
    assert_eq!(table.len(), expected.len());
    assert!(!ops.iter().any(|op| matches!(op, Op::Unary(_))), "{ops:?}");
}

/// Indices into computed values lie within their axis, whatever room the sample leaves above.
#[test]
fn indices_lie_within_their_axis() {
    let folder = tempfile::tempdir().unwrap();
    let path = Onnx::default()
        .input("x", &[1, 5])
        .whole_input("at", &[1, 2])
        .node("GatherElements", &["x", "at"], "y", &[int("axis", 1)])
        .output("y", &[1, 2])
        .write(folder.path())
        .unwrap();
    let model = load(&path, &LoadOptions { seen: vec![None, Some((0.0, 4.0))], ..Default::default() }).unwrap();
    let kinds: Vec<&InputKind> = model.inputs.iter().map(|input| &input.kind).collect();
    assert!(kinds.contains(&&InputKind::Integer { lo: 0, hi: 4 }), "{kinds:?}");
}
