//! Files whose nodes do not fit together.

use super::general::numbers;
use nanozk_compiler::frontend::{LoadOptions, load};
use nanozk_compiler::onnx::{Onnx, int};

/// Whether such a file loads, or what that ends in.
fn loaded(onnx: Onnx) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path()).unwrap();
    load(&path, &LoadOptions::default()).map(drop).map_err(|e| e.to_string().replace(&*path.to_string_lossy(), "FILE"))
}

/// What loading such a file ends in.
fn refusal(onnx: Onnx) -> String {
    loaded(onnx).unwrap_err()
}

/// A node on `x`, of [2, 4], and a constant of another shape.
fn two(op: &str, dims: &[usize]) -> Onnx {
    let values = numbers(dims.iter().product());
    let attributes = if op == "Concat" { vec![int("axis", 0)] } else { Vec::new() };
    Onnx::default()
        .input("x", &[2, 4])
        .constant("w", dims, &values)
        .node(op, &["x", "w"], "y", &attributes)
        .output("y", &[2, 4])
}

#[test]
fn operands_that_do_not_fit_are_named_with_their_shapes() {
    for (op, dims) in [
        ("MatMul", &[3, 2][..]),
        ("Gemm", &[3, 2]),
        ("Concat", &[3, 3]),
        ("Expand", &[3]),
        ("Add", &[3]),
        ("Where", &[3]),
    ] {
        let (onnx, shapes) = match op {
            "Expand" => {
                let onnx = Onnx::default().input("x", &[2, 4]).constant("w", &[2], &[3i64, 3]);
                (onnx.node("Expand", &["x", "w"], "y", &[]).output("y", &[3, 3]), "[2,4] x (3,3)".to_owned())
            }
            "Where" => {
                let onnx = Onnx::default().input("x", &[2, 4]).constant("w", dims, &numbers(3));
                let onnx = onnx.node("Cast", &["x"], "bits", &[int("to", 9)]);
                (onnx.node("Where", &["bits", "x", "w"], "y", &[]).output("y", &[2, 4]), String::new())
            }
            _ => {
                let list: Vec<String> = dims.iter().map(ToString::to_string).collect();
                (two(op, dims), format!("[2,4] x [{}]", list.join(",")))
            }
        };
        let said = refusal(onnx);
        assert!(said.starts_with(&format!("FILE: 1 unsupported node(s): {op} \"y\"")), "{said}");
        assert!(said.ends_with("; correct the model, or the lengths of its inputs"), "{said}");
        assert!(op == "Add" || said.contains(&shapes), "{said}");
        assert!(!["unify", "node #", "TDim", "InferenceFact"].iter().any(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn attributes_that_cannot_be_read_are_those_of_a_node() {
    let unknown = Onnx::default().input("x", &[2]).node("Cast", &["x"], "y", &[int("to", 999)]).output("y", &[2]);
    let said = refusal(unknown);
    assert!(said.starts_with("FILE: 1 unsupported node(s): Cast \"y\": it cannot be read as it stands ("), "{said}");
    assert!(said.ends_with("; export the model again, or replace the node"), "{said}");
}

#[test]
fn constants_are_held_against_the_axis_they_are_for() {
    let of = |op: &str, constant: &[i64]| {
        // One index for each element that comes out, or for each column.
        let dims: &[usize] = if op == "GatherElements" { &[1, 2] } else { &[2] };
        let onnx = Onnx::default().input("x", &[2, 4]).constant("c", dims, constant);
        onnx.node(op, &["x", "c"], "y", &[int("axis", -1)]).output("y", &[2, 2])
    };
    for (op, constant, what) in [
        ("Split", [1, 2], "it cuts axis 1 of \"x\", of length 4, into [1, 2], which do not add up to it"),
        ("Gather", [0, 4], "\"c\" holds index 4, and axis 1 of \"x\" has 4 elements"),
        ("Gather", [-5, 0], "\"c\" holds index -5, and axis 1 of \"x\" has 4 elements"),
        ("GatherElements", [3, 4], "\"c\" holds index 4, and axis 1 of \"x\" has 4 elements"),
    ] {
        let said = refusal(of(op, &constant));
        assert_eq!(said, format!("FILE: 1 unsupported node(s): {op} \"y\": {what}; correct the model"));
    }
    assert_eq!(loaded(of("Gather", &[-4, 3])), Ok(()), "both ends of the axis");
}
