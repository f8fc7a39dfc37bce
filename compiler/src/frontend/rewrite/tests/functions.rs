use super::{Small, make, near, product, random};
use crate::frontend::rewrite::{node, tensor};
use tract_onnx::{
    pb::{AttributeProto, FunctionProto, GraphProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType},
    prelude::*,
};

/// A function of the domain `own`.
fn function(name: &str, inputs: &[&str], outputs: &[&str], nodes: Vec<NodeProto>) -> FunctionProto {
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    FunctionProto {
        name: Some(name.into()),
        domain: Some("own".into()),
        input: list(inputs),
        output: list(outputs),
        node: nodes,
        ..Default::default()
    }
}

/// An attribute that the call gives.
fn reference(name: &str, of: &str) -> AttributeProto {
    let kind = AttributeType::Float as i32;
    AttributeProto { name: name.into(), ref_attr_name: of.into(), r#type: kind, ..Default::default() }
}

#[test]
fn bodies_stand_for_calls_with_their_names() {
    let body = vec![
        make("MatMul", &["a", "w"], &["t"], &[]),
        make("LeakyRelu", &["t"], &["r"], &[reference("alpha", "slope")]),
    ];
    let mut small = Small::new(17).input("x", &[2, 3]).constant("v", random(&[3, 3], 1)).output("y");
    small = small.node("own:Layer", &["x", "v"], &["h"], &[node::float("slope", 0.5)]);
    small = small.node("own:Layer", &["h", "v"], &["y"], &[node::float("slope", 0.25)]);
    small.functions = vec![function("Layer", &["a", "w"], &["r"], body)];
    let (x, v) = (random(&[2, 3], 2), tensor::floats(&random(&[3, 3], 1)).unwrap());
    let leaky = |x: &[f32], slope: f32| -> Vec<f32> {
        product(x, &v, 3, 3).into_iter().map(|t| if t < 0.0 { slope * t } else { t }).collect()
    };
    let want = leaky(&leaky(&tensor::floats(&x).unwrap(), 0.5), 0.25);
    near(&small.run(&[x])[0], &[2, 3], &want);
    let (model, _) = small.rewritten().unwrap();
    let names: Vec<String> = model.graph.unwrap().node.into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["h/t", "h/r", "y/t", "y/r"]);
}

#[test]
fn attributes_that_a_call_leaves_out_have_the_defaults_of_the_function_or_of_the_operator() {
    use prost::Message;
    let call = |defaults: &[AttributeProto]| {
        let body = vec![make("LeakyRelu", &["a"], &["r"], &[reference("alpha", "slope")])];
        let mut small = Small::new(17).input("x", &[1]).node("own:F", &["x"], &["y"], &[]).output("y");
        small.functions = vec![function("F", &["a"], &["r"], body)];
        let model = small.proto();
        // Field 25 of a model are its functions, field 11 of a function are defaults, which tract's messages lack.
        let mut function = model.functions[0].encode_to_vec();
        for default in defaults {
            prost::encoding::message::encode(11, default, &mut function);
        }
        let mut bytes = small.proto().encode_to_vec();
        bytes.truncate(tract_onnx::pb::ModelProto { functions: Vec::new(), ..model }.encode_to_vec().len());
        prost::encoding::bytes::encode(25, &function, &mut bytes);
        let mut model = tract_onnx::pb::ModelProto::decode(&bytes[..]).unwrap();
        let path = std::path::Path::new("small.onnx");
        super::rewrite(&mut model, &bytes, path, &super::onnx(), &Default::default()).unwrap();
        tensor::floats(&super::run(&model, None, &[tensor1(&[-1f32])]).unwrap()[0]).unwrap()
    };
    assert_eq!(call(&[node::float("slope", 0.5)]), [-0.5]);
    assert_eq!(call(&[]), [-0.01]);
}

#[test]
fn outputs_that_are_inputs_pass_through() {
    let mut small = Small::new(17).input("x", &[2]).node("own:F", &["x"], &["y", "z"], &[]).output("y").output("z");
    small.functions = vec![function("F", &["a"], &["a", "b"], vec![make("Neg", &["a"], &["b"], &[])])];
    let got = small.run(&[tensor1(&[1f32, -2.0])]);
    near(&got[0], &[2], &[1.0, -2.0]);
    near(&got[1], &[2], &[-1.0, 2.0]);
}

#[test]
fn functions_without_end_are_refused() {
    let mut small = Small::new(17).input("x", &[2]).node("own:F", &["x"], &["y"], &[]).output("y");
    small.functions = vec![function("F", &["a"], &["b"], vec![make("own:F", &["a"], &["b"], &[])])];
    assert!(small.refusal().contains("F \"y"), "{}", small.refusal());
    assert!(small.refusal().contains("or itself"), "{}", small.refusal());
    // Two calls in each of 40 functions: 2^40 nodes.
    let nest = |i: usize| {
        let inner = format!("own:F{}", i + 1);
        vec![make(&inner, &["a"], &["t"], &[]), make(&inner, &["t"], &["b"], &[])]
    };
    small.functions = (0..40).map(|i| function(&format!("F{i}"), &["a"], &["b"], nest(i))).collect();
    small.functions.push(function("F40", &["a"], &["b"], vec![make("Neg", &["a"], &["b"], &[])]));
    small.graph.node[0].op_type = "F0".into();
    assert!(small.refusal().contains("expands to more than"), "{}", small.refusal());
}

#[test]
fn a_function_of_another_operator_set_is_inlined_where_its_operators_mean_the_same() {
    let of = |own: i64, model: i64, node: NodeProto| {
        let mut small = Small::new(model).input("x", &[2]).node("own:F", &["x"], &["y"], &[]).output("y");
        small.functions = vec![FunctionProto {
            opset_import: vec![tract_onnx::pb::OperatorSetIdProto { domain: String::new(), version: own }],
            ..function("F", &["a"], &["b"], vec![node])
        }];
        small
    };
    let x = || tensor1(&[1f32, -2.0]);
    let negated = || make("Neg", &["a"], &["b"], &[]);
    for (own, model) in [(21, 22), (18, 24), (17, 13), (11, 11), (16, 18), (11, 13)] {
        near(&of(own, model, negated()).run(&[x()])[0], &[2], &[-1.0, 2.0]);
    }
    // Axes become an input.
    let least = || make("ReduceMin", &["a"], &["b"], &[node::ints("axes", &[0])]);
    for (own, model) in [(16, 18), (16, 17), (18, 18)] {
        let least = if own == 18 { make("ReduceMin", &["a"], &["b"], &[]) } else { least() };
        near(&of(own, model, least).run(&[x()])[0], &[1], &[-2.0]);
    }
    let row = make("Unsqueeze", &["a"], &["b"], &[node::ints("axes", &[0])]);
    near(&of(12, 18, row).run(&[x()])[0], &[1, 2], &[1.0, -2.0]);
    for (own, model, op) in [(18, 17, "ReduceMin"), (12, 13, "Softmax"), (19, 21, "GroupNormalization"), (5, 7, "Neg")]
    {
        let refusal = of(own, model, make(op, &["a"], &["b"], &[])).refusal();
        assert!(refusal.contains(&format!("{op} changed")) && refusal.contains("one operator set"), "{refusal}");
    }
}

/// The branch of a function calls a value of its own as the model calls what the function reads.
#[test]
fn values_of_a_branch_do_not_stand_for_those_that_are_passed() {
    let branch = |name: &str, op: &str| {
        let output = ValueInfoProto { name: "x".into(), ..Default::default() };
        let graph =
            GraphProto { node: vec![make(op, &["given"], &["x"], &[])], output: vec![output], ..Default::default() };
        AttributeProto { name: name.into(), g: Some(graph), r#type: AttributeType::Graph.into(), ..Default::default() }
    };
    let branches = [branch("then_branch", "Neg"), branch("else_branch", "Abs")];
    let body = vec![make("If", &["chosen"], &["out"], &branches)];
    let mut small = Small::new(17).input("x", &[2]).constant("yes", tensor0(true)).output("y");
    small.functions.push(function("Choose", &["given", "chosen"], &["out"], body));
    let small = small.node("own:Choose", &["x", "yes"], &["y"], &[]);
    near(&small.run(&[tensor1(&[1f32, -2.0])])[0], &[2], &[-1.0, 2.0]);
}
