//! Equations hold over the integers, or the node whose equation may wrap is named.

use nanozk_ir::int::ops::Step;
use nanozk_ir::int::{Role, ops};
use nanozk_layout::{Bounds, Budget, Derived, Known, LayoutError};
use nanozk_testkit::models;
use nanozk_testkit::net::Net;

fn greatest(values: &[i64]) -> f64 {
    values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0) as f64
}

/// What a verifier knows of the net: public tensors and the widths of the rest, here those of the data.
fn known(net: &Net) -> Known {
    let (model, layer) = (&net.model, &net.model.layers[0]);
    let outputs = layer.outputs.iter().zip(net.tensors().into_iter().filter_map(|(port, values)| match port {
        nanozk_plan::Port::Output(_) => Some(values),
        nanozk_plan::Port::Input(_) => None,
    }));
    let public = |id: u32| model.tensors[id as usize].role == Role::PublicOutput;
    Known {
        inputs: net.inputs.iter().map(|values| Some(greatest(values))).collect(),
        outputs: outputs.map(|(&id, values)| public(id).then(|| greatest(&values))).collect(),
        weights: layer.weights.iter().map(|w| greatest(&w.iter().map(|&v| v.into()).collect::<Vec<_>>())).collect(),
        tables: layer.tables.iter().map(|table| greatest(table)).collect(),
        params: layer.params.iter().map(|&p| greatest(&[p])).collect(),
    }
}

fn bounds(net: &Net, known: &Known) -> Result<Bounds, LayoutError> {
    let (ports, options) = (net.ports(), net.options());
    let choices = net.lower().choices;
    let graph = &net.model.shapes[0];
    let derived = Derived::new(graph, &ports, options.tokens, options.limb_bits, &choices, Budget::UNLIMITED);
    derived.unwrap().bounds(known)
}

#[test]
fn every_op_holds_over_the_integers() {
    let nets = [
        models::block(4, 8, 4, 2, true),
        models::block(4, 8, 2, 2, false),
        models::activations(3),
        models::language(4, 6, 11, Role::PublicInput),
        models::language(4, 6, 11, Role::PrivateInput),
        models::convolution(3),
        models::flat_attention(),
        models::comparisons(1),
        models::chained(),
        models::recurrence(),
        models::pools(3),
        models::digits(2),
        models::orders(),
        models::embeddings(Role::PrivateInput),
    ];
    for (i, net) in nets.iter().enumerate() {
        let found = bounds(net, &known(net)).unwrap_or_else(|error| panic!("net {i}: {error}"));
        assert!(found.widest < 2f64.powi(150), "net {i}: {}", found.widest.log2());
        for (port, values) in net.tensors() {
            let bound = match port {
                nanozk_plan::Port::Input(port) => found.inputs[port as usize],
                nanozk_plan::Port::Output(port) => found.outputs[port as usize],
            };
            assert!(bound.is_some_and(|bound| bound >= greatest(&values)), "net {i}, {port:?}: {bound:?}");
        }
    }
}

/// Without what is known of any one thing the bounds are missing.
#[test]
fn everything_known_is_needed() {
    let nets = [models::block(4, 8, 4, 2, true), models::activations(3)];
    for net in nets {
        let honest = known(&net);
        let lists: [fn(&mut Known) -> &mut Vec<f64>; 3] = [|k| &mut k.weights, |k| &mut k.tables, |k| &mut k.params];
        for list in lists {
            for i in 0..list(&mut honest.clone()).len() {
                for wide in [f64::INFINITY, 2f64.powi(254)] {
                    let mut known = honest.clone();
                    list(&mut known)[i] = wide;
                    let found = bounds(&net, &known);
                    assert!(matches!(found, Err(LayoutError::Wraps { .. })), "{known:?}: {found:?}");
                }
            }
        }
    }
}

fn named(error: LayoutError, expected: &str) {
    match error {
        LayoutError::Wraps { node, .. } => assert_eq!(node, expected),
        other => panic!("{other}"),
    }
}

/// A graph may say of its nodes what it likes: squares of squares wrap, whatever their bounds are said to be.
#[test]
fn stated_bounds_are_not_believed() {
    for role in [Role::PublicInput, Role::PrivateInput] {
        let mut net = Net::new(2, 6);
        let mut x = net.input(vec![1; 4], role);
        for _ in 0..9 {
            x = net.push(ops::Mul.into(), &[x, x], 2);
        }
        net.output(x, Role::Internal);
        let with = |bound: f64| bounds(&net, &Known { inputs: vec![Some(bound)], ..known(&net) });
        let found = with(1.0).unwrap();
        assert_eq!(found.outputs, [Some(1.0)]);
        // 2 to the power of 4, 8, .., 256.
        named(with(4.0).unwrap_err(), "Mul 7");
        named(with(2f64.powi(31)).unwrap_err(), "Mul 4");
    }
}

/// A hidden tensor that no layer has bounded may hold any elements of the field.
#[test]
fn hidden_inputs_need_a_range() {
    let net = |ranged: bool| {
        let mut net = Net::new(2, 6);
        let x = net.input(vec![3, -2, 1, 0], Role::PrivateInput);
        let x = if ranged { net.push(ops::Range { limbs: 2 }.into(), &[x], 2) } else { x };
        let y = net.push(Step { limbs: 2 }.into(), &[x], 2);
        let z = net.add(x, y);
        net.output(z, Role::Internal);
        net
    };
    let unknown = |net: &Net| bounds(net, &Known { inputs: vec![None], ..known(net) });
    let ranged = unknown(&net(true)).unwrap();
    assert!(ranged.inputs[0].is_some_and(|bound| (2048.0..8192.0).contains(&bound)), "{ranged:?}");
    // Two products of the unknown, so that no equation alone gives it a bound.
    let mut open = Net::new(2, 6);
    let x = open.input(vec![3, -2, 1, 0], Role::PrivateInput);
    let y = open.push(ops::Mul.into(), &[x, x], 2);
    open.output(y, Role::Internal);
    named(unknown(&open).unwrap_err(), "Mul 1");
    // A comparison shows in passing that its operand is an integer.
    assert!(unknown(&net(false)).is_ok());
}
