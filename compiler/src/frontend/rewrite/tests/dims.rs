use super::{Small, near};
use crate::frontend::{error::FrontendError, rewrite::tensor};
use crate::setting::Setting;
use tract_onnx::{
    pb::{tensor_proto::DataType, tensor_shape_proto::dimension, type_proto},
    prelude::*,
};

/// -x for an input x whose axes have these names; an empty name is none.
fn open(axes: &[&str]) -> Small {
    let mut small = Small::new(17).input("x", &vec![1; axes.len()]).node("Neg", &["x"], &["y"], &[]).output("y");
    let Some(type_proto::Value::TensorType(t)) = small.graph.input[0].r#type.as_mut().and_then(|t| t.value.as_mut())
    else {
        unreachable!()
    };
    for (dim, name) in t.shape.as_mut().unwrap().dim.iter_mut().zip(axes) {
        dim.value = match name.parse() {
            Ok(n) => Some(dimension::Value::DimValue(n)),
            Err(_) if name.is_empty() => None,
            Err(_) => Some(dimension::Value::DimParam((*name).into())),
        };
    }
    small
}

fn set(mut small: Small, settings: &[(&str, f64)]) -> Small {
    small.options.set = settings.iter().map(|(k, v)| ((*k).into(), Setting(*v))).collect();
    small
}

fn shape(small: &Small) -> Vec<i64> {
    let (model, _) = small.rewritten().unwrap();
    let graph = model.graph.unwrap();
    let Some(type_proto::Value::TensorType(t)) = graph.input[0].r#type.as_ref().and_then(|t| t.value.clone()) else {
        unreachable!()
    };
    let fixed = |d: &tract_onnx::pb::tensor_shape_proto::Dimension| match d.value {
        Some(dimension::Value::DimValue(n)) => n,
        _ => -1,
    };
    t.shape.unwrap().dim.iter().map(fixed).collect()
}

#[test]
fn names_and_sums_of_names_are_set_with_and_without_spaces() {
    assert_eq!(shape(&set(open(&["batch", "seq", "4"]), &[("seq", 8.0)])), [1, 8, 4]);
    let both = [("past", 3.0), ("seq", 2.0)];
    for name in ["past + seq", "past+seq"] {
        assert_eq!(shape(&set(open(&["seq", name]), &both)), [2, 5], "{name}");
        // The sum itself may be given, in either spelling.
        for key in ["past + seq", "past+seq"] {
            assert_eq!(shape(&set(open(&["seq", name]), &[("seq", 2.0), (key, 9.0)])), [2, 9], "{name} {key}");
        }
    }
    // A sum whose addends stand in another order.
    assert_eq!(shape(&set(open(&["seq", "past + seq"]), &[("seq", 2.0), ("seq + past", 9.0)])), [2, 9]);
    assert_eq!(shape(&set(open(&["past + seq"]), &[("past", 7.0), ("seq", 2.0), ("seq+past", 9.0)])), [9]);
    assert_eq!(shape(&set(open(&["seq of tokens"]), &[("seq of tokens", 7.0)])), [7]);
    assert_eq!(shape(&set(open(&["2", ""]), &[("x.1", 5.0)])), [2, 5]);
}

#[test]
fn open_dimensions_are_named_in_the_error() {
    let error = open(&["batch", "seq"]).refusal();
    assert!(error.contains("`--set seq=N`"), "{error}");
    let error = set(open(&["seq", "past + seq"]), &[("seq", 2.0)]).refusal();
    assert!(error.contains("`--set past=N`"), "{error}");
    let error = open(&["2", ""]).refusal();
    assert!(error.contains("`--set x.1=N`"), "{error}");
    let error = set(open(&["seq"]), &[("sequence", 2.0)]).refusal();
    assert!(error.contains("`--set seq=N`"), "{error}");
    let error = set(open(&["4", "seq"]), &[("seq", 2.0), ("length", 2.0)]).refusal();
    assert!(error.contains("length") && error.contains("seq"), "{error}");
    for bad in [1.5, -1.0] {
        let error = set(open(&["seq"]), &[("seq", bad)]).refusal();
        assert!(error.contains("whole number"), "{error}");
    }
}

#[test]
fn contradicting_settings_are_refused() {
    for (sum, other) in [("past + seq", "seq+past"), ("seq+past", "past + seq")] {
        let error = set(open(&["seq", "past + seq"]), &[("past", 3.0), ("seq", 2.0), (sum, 9.0)]).refusal();
        for part in ["seq=9", "`--set past=3`", "`--set seq=2`", "; correct one"] {
            assert!(error.contains(part), "{error}");
        }
        let error = set(open(&["past + seq"]), &[(sum, 9.0), (other, 8.0)]).refusal();
        for part in ["past + seq", "seq+past", "=9", "=8", "; give one"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn the_sample_data_settles_what_has_no_name() {
    let sample = |axes: &[&str], shape: &[usize]| {
        let mut small = open(axes);
        small.options.shapes = vec![Some(shape.to_vec())];
        small
    };
    assert_eq!(shape(&sample(&["", "", "4"], &[2, 3, 4])), [2, 3, 4]);
    // A flat sample tells the one open axis, or the one behind the batch.
    assert_eq!(shape(&sample(&["", "4"], &[12])), [3, 4]);
    assert_eq!(shape(&sample(&["", "", "4"], &[12])), [1, 3, 4]);
    // A name asks for a decision; the sample helps to take it.
    let error = sample(&["1", "seq"], &[1, 6]).refusal();
    assert!(error.contains("`--set seq=6`"), "{error}");
}

#[test]
fn a_batch_is_that_of_the_shape_of_the_sample_data() {
    let sample = |shape: &[usize], settings: &[(&str, f64)]| {
        let mut small = set(open(&["batch_size", "4"]), settings);
        small.options.shapes = vec![Some(shape.to_vec())];
        self::shape(&small)
    };
    assert_eq!(sample(&[3, 4], &[]), [3, 4]);
    assert_eq!(sample(&[3, 4], &[("batch_size", 1.0)]), [1, 4]);
    // Twelve values may be three samples.
    assert_eq!(sample(&[12], &[]), [1, 4]);
    assert_eq!(sample(&[3, 5], &[]), [1, 4]);
}

/// A name of words, one with a hyphen and one that is no expression are names like others.
#[test]
fn every_name_can_be_set_and_a_batch_of_any_name_follows_the_sample_data() {
    for name in ["batch size", "Batch-size", "N (batch)", "batch:0", "2batch"] {
        assert_eq!(shape(&set(open(&[name, "4"]), &[(name, 5.0)])), [5, 4], "{name}");
        let mut small = open(&[name, "4"]);
        assert_eq!(shape(&small), [1, 4], "{name}");
        small.options.shapes = vec![Some(vec![3, 4])];
        assert_eq!(shape(&small), [3, 4], "{name}");
        let (_, notes) = small.rewritten().unwrap();
        assert!(notes.iter().any(|note| note.contains(&format!("{name}=1"))), "{notes:?}");
    }
    let error = open(&["4", "number of steps"]).refusal();
    assert!(error.contains("`--set \"number of steps=N\"`"), "{error}");
    let error = open(&["4", "seq-len"]).refusal();
    assert!(error.contains("`--set seq-len=N`"), "{error}");
    assert_eq!(shape(&set(open(&["4", "seq-len"]), &[("seq-len", 6.0)])), [4, 6]);
    // A difference of names that other axes have.
    assert_eq!(shape(&set(open(&["all", "all-past"]), &[("all", 6.0), ("past", 2.0)])), [6, 4]);
}

#[test]
fn inputs_without_elements_and_settled_ones_are_constants() {
    let small = Small::new(17)
        .input("x", &[2, 3])
        .input("past", &[2, 0])
        .typed_input("k", DataType::Int64 as i32, &[1])
        .node("Concat", &["past", "x"], &["c"], &[crate::frontend::rewrite::node::int("axis", 1)])
        .node("Gather", &["c", "k"], &["y"], &[crate::frontend::rewrite::node::int("axis", 1)])
        .output("y");
    let small = set(small, &[("k", 2.0)]);
    let x = tensor1(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).into_shape(&[2, 3]).unwrap();
    near(&small.run(&[x])[0], &[2, 1], &[3.0, 6.0]);
    let (model, _) = small.rewritten().unwrap();
    assert_eq!(model.graph.unwrap().input.len(), 1);
    let error = set(open(&["4"]), &[("x", 1.0)]).refusal();
    assert!(error.contains("only an input of one element can be set"), "{error}");
    assert!(matches!(set(open(&["4"]), &[("x", 1.0)]).rewritten(), Err(FrontendError::BadSet { .. })));
}

#[test]
fn values_that_follow_from_shapes_are_constants() {
    // Positions 0..3 as 64-bit integers, from the shape of x, expanded to a batch.
    let small = set(open(&["batch", "seq"]), &[("seq", 3.0)])
        .constant("one", tensor0(1i64))
        .constant("zero", tensor0(0i64))
        .constant("column", tensor1(&[0i64]))
        .constant("shape", tensor1(&[2i64, 3]))
        .node("Shape", &["x"], &["s"], &[])
        .node("Gather", &["s", "one"], &["n"], &[])
        .node("Range", &["zero", "n", "one"], &["r"], &[])
        .node("Unsqueeze", &["r", "column"], &["u"], &[])
        .node("Expand", &["u", "shape"], &["e"], &[])
        .output("e");
    let (model, _) = small.rewritten().unwrap();
    let graph = model.graph.unwrap();
    assert!(graph.node.iter().all(|n| n.op_type == "Neg"), "{:?}", graph.node);
    let e = graph.initializer.iter().find(|t| t.name == "e").unwrap();
    assert_eq!((e.data_type, &e.dims[..]), (DataType::Int64 as i32, &[2, 3][..]));
    let x = tensor1(&[1f32, 2.0, 3.0]).into_shape(&[1, 3]).unwrap();
    assert_eq!(tensor::integers(&small.run(&[x])[1]).unwrap(), [0, 1, 2, 0, 1, 2]);
}
