//! Embeddings: means over the visible tokens, and vectors of length 1.

use nanozk_compiler::frontend::{LoadOptions, Loaded, load};
use nanozk_compiler::onnx::{Onnx, int, ints};
use nanozk_ir::float::{NormKind, Op};

fn loaded(onnx: Onnx, seen: &[(f64, f64)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path()).unwrap();
    load(&path, &LoadOptions { seen: seen.iter().copied().map(Some).collect(), ..Default::default() }).unwrap()
}

fn ops(model: &Loaded) -> Vec<&Op> {
    model.graph.topo().into_iter().map(|id| &model.graph.dag[id].op).collect()
}

/// The greatest features `x` of three tokens divided by what `body` makes of it, as `n`, in the forms of several exporters.
#[test]
fn lengths_become_normalisations() {
    let length = |onnx: Onnx| onnx.node("ReduceL2", &["x"], "l", &[int("keepdims", 1)]);
    let squares = |onnx: Onnx| onnx.node("ReduceSumSquare", &["x"], "s", &[int("keepdims", 1)]);
    let forms: [&dyn Fn(Onnx) -> Onnx; 4] = [
        &|onnx| length(onnx).node("Max", &["l", "tiny"], "n", &[]).node("Div", &["x", "n"], "y", &[]),
        &|onnx| length(onnx).node("Reciprocal", &["l"], "n", &[]).node("Mul", &["n", "x"], "y", &[]),
        &|onnx| squares(onnx).node("Sqrt", &["s"], "n", &[]).node("Div", &["x", "n"], "y", &[]),
        &|onnx| {
            let sum = squares(onnx).node("Mul", &["s", "half"], "h", &[]).node("Add", &["h", "tiny"], "a", &[]);
            sum.node("Sqrt", &["a"], "n", &[]).node("Div", &["x", "n"], "y", &[])
        },
    ];
    for form in forms {
        let onnx = Onnx::default()
            .input("tokens", &[1, 3, 12])
            .node("ReduceMax", &["tokens"], "x", &[ints("axes", &[1]), int("keepdims", 0)])
            .constant("tiny", &[], &[1e-6])
            .constant("half", &[], &[0.5])
            .output("y", &[1, 12]);
        let model = loaded(form(onnx), &[]);
        let found = ops(&model);
        assert!(found.iter().any(|op| matches!(op, Op::Norm { kind: NormKind::Rms, .. })), "{found:?}");
        assert!(!found.iter().any(|op| matches!(op, Op::Unary(_))), "{found:?}");
    }
}

/// The bound that keeps a count of tokens from 0 does not enter a table.
#[test]
fn counts_are_bounded_by_one() {
    let onnx = Onnx::default()
        .input("x", &[1, 4])
        .whole_input("mask", &[1, 4])
        .constant("tiny", &[], &[1e-9])
        .node("Cast", &["mask"], "m", &[int("to", 1)])
        .node("Mul", &["x", "m"], "seen", &[])
        .node("ReduceSum", &["seen"], "sum", &[int("keepdims", 1)])
        .node("ReduceSum", &["m"], "count", &[int("keepdims", 1)])
        .node("Max", &["count", "tiny"], "bounded", &[])
        .node("Div", &["sum", "bounded"], "y", &[])
        .output("y", &[1, 1]);
    let model = loaded(onnx, &[(-1.0, 1.0), (0.0, 1.0)]);
    let found = ops(&model);
    let tables: Vec<_> = found
        .iter()
        .filter_map(|op| if let Op::Embed { table } = op { Some(table.read().unwrap()) } else { None })
        .collect();
    assert!(!tables.is_empty() && tables.concat().iter().all(|v| v.abs() <= 1.0), "{tables:?}");
}
