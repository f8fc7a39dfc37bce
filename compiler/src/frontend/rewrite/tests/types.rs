use super::{Small, make, near};
use crate::frontend::rewrite::{facts::FLOAT, node, tensor};
use tract_onnx::{
    pb::{AttributeProto, SparseTensorProto, TensorProto, attribute_proto::AttributeType, tensor_proto::DataType},
    prelude::*,
};

/// x * w with x and w of an element type, w given by its bytes.
fn times(data_type: DataType, bytes: Vec<u8>) -> Small {
    let w = TensorProto {
        name: "w".into(),
        data_type: data_type as i32,
        dims: vec![2],
        raw_data: bytes,
        ..Default::default()
    };
    let mut small =
        Small::new(17).typed_input("x", data_type as i32, &[2]).node("Mul", &["x", "w"], &["y"], &[]).output("y");
    small.graph.initializer.push(w);
    small
}

#[test]
fn floats_of_other_widths_become_floats_of_32_bits() {
    let x = tensor1(&[2f32, 4.0]);
    // 1.5 and -0.25 in each format.
    let half = times(DataType::Float16, vec![0x00, 0x3e, 0x00, 0xb4]);
    near(&half.run(std::slice::from_ref(&x))[0], &[2], &[3.0, -1.0]);
    let brain = times(DataType::Bfloat16, vec![0xc0, 0x3f, 0x80, 0xbe]);
    near(&brain.run(std::slice::from_ref(&x))[0], &[2], &[3.0, -1.0]);
    let double = times(DataType::Double, [1.5f64, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect());
    near(&double.run(&[x])[0], &[2], &[3.0, -1.0]);
}

#[test]
fn the_least_double_stays_finite_and_infinity_infinite() {
    let small = times(DataType::Double, [f64::MIN, f64::NEG_INFINITY].iter().flat_map(|v| v.to_le_bytes()).collect());
    let got = tensor::floats(&small.run(&[tensor1(&[1f32, 1.0])])[0]).unwrap();
    assert_eq!(got, [f32::MIN, f32::NEG_INFINITY]);
}

#[test]
fn casts_to_other_widths_keep_32_bits() {
    let small =
        Small::new(17).input("x", &[1]).node("Cast", &["x"], &["h"], &[node::int("to", DataType::Float16 as i64)]);
    let small = small.node("Cast", &["h"], &["y"], &[node::int("to", FLOAT.into())]).output("y");
    near(&small.run(&[tensor1(&[0.1f32])])[0], &[1], &[0.1]);
}

#[test]
fn constants_in_all_their_forms_are_one_kind() {
    let tensor = |values: &[f32]| AttributeProto {
        name: "value".into(),
        t: Some(tensor::store("", &tensor1(values)).unwrap()),
        r#type: AttributeType::Tensor as i32,
        ..Default::default()
    };
    let floats = AttributeProto { name: "value_floats".into(), floats: vec![1.0, 2.0], ..Default::default() };
    let sparse = SparseTensorProto {
        values: Some(tensor::store("s", &tensor1(&[7f32])).unwrap()),
        indices: Some(tensor::store("", &tensor1(&[1i64])).unwrap()),
        dims: vec![2],
    };
    let mut small = Small::new(17).input("x", &[2]);
    small.graph.node.push(make("Constant", &[], &["a"], &[tensor(&[10.0, 20.0])]));
    small.graph.node.push(make("Constant", &[], &["b"], &[floats]));
    small.graph.node.push(make("Constant", &[], &["c"], &[node::float("value_float", 0.5)]));
    small.graph.sparse_initializer.push(sparse);
    let small = small.node("Sum", &["x", "a", "b", "c", "s"], &["y"], &[]).output("y");
    near(&small.run(&[tensor1(&[0f32, 0.0])])[0], &[2], &[11.5, 29.5]);
    let mut bad = small;
    bad.graph.sparse_initializer[0].indices = Some(tensor::store("", &tensor1(&[2i64])).unwrap());
    assert!(bad.refusal().contains("index out of its shape"), "{}", bad.refusal());
}

#[test]
fn casts_to_64_bits_give_integers_that_add_up() {
    let small = Small::new(17)
        .typed_input("x", DataType::Int32 as i32, &[3])
        .constant("axis", tensor0(0i64))
        .node("Cast", &["x"], &["n"], &[node::int("to", DataType::Int64 as i64)])
        .node("CumSum", &["n", "axis"], &["y"], &[])
        .output("y");
    let got = small.run(&[tensor1(&[1i32, 2, 3])]);
    assert_eq!((got[0].datum_type(), tensor::integers(&got[0]).unwrap()), (DatumType::I64, vec![1, 3, 6]));
}

#[test]
fn indices_that_count_from_the_end_count_from_the_start() {
    let small = Small::new(17)
        .input("x", &[3, 2])
        .constant("i", tensor2(&[[-1i64, 0], [1, -1]]))
        .node("GatherND", &["x", "i"], &["y"], &[])
        .output("y");
    let x = tensor2(&[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    near(&small.run(&[x])[0], &[2], &[5.0, 4.0]);
}
