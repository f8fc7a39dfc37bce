//! Recurrent operators against their definition, step by step.

use super::{Small, near, numbers, random};
use crate::frontend::rewrite::node;
use tract_onnx::{pb::AttributeProto, prelude::*};

const STEPS: usize = 3;
const BATCH: usize = 2;
const IN: usize = 4;
const HIDDEN: usize = 2;

/// A node with constant weights of `gates` gates and `states` initial states.
struct Case<'a> {
    op: &'a str,
    gates: usize,
    directions: usize,
    attributes: Vec<AttributeProto>,
    bias: bool,
    states: usize,
    peepholes: bool,
    lengths: Option<[i32; BATCH]>,
}

impl<'a> Case<'a> {
    fn new(op: &'a str, gates: usize) -> Self {
        let (attributes, lengths) = (vec![node::int("hidden_size", HIDDEN as i64)], None);
        Case { op, gates, directions: 1, attributes, bias: true, states: 0, peepholes: false, lengths }
    }

    fn with(mut self, attribute: AttributeProto) -> Self {
        self.attributes.push(attribute);
        self
    }

    fn bidirectional(mut self) -> Self {
        self.directions = 2;
        self.with(node::text("direction", "bidirectional"))
    }

    fn batch_first(&self) -> bool {
        self.attributes.iter().any(|a| a.name == "layout")
    }

    /// The weights from slot 1 on, flat.
    fn weights(&self) -> [Vec<f32>; 6] {
        let (d, g) = (self.directions, self.gates * HIDDEN);
        [
            numbers(d * g * IN, 2),
            numbers(d * g * HIDDEN, 3),
            numbers(d * 2 * g, 4),
            numbers(d * BATCH * HIDDEN, 5),
            numbers(d * BATCH * HIDDEN, 6),
            numbers(d * 3 * HIDDEN, 7),
        ]
    }

    fn small(&self) -> Small {
        let (d, g, h) = (self.directions, self.gates * HIDDEN, HIDDEN);
        let [w, r, b, h0, c0, p] = self.weights();
        let tensor = |shape: &[usize], data: &[f32]| Tensor::from_shape(shape, data).unwrap();
        let (sequence, state) = match self.batch_first() {
            false => ([STEPS, BATCH, IN], [d, BATCH, h]),
            true => ([BATCH, STEPS, IN], [BATCH, d, h]),
        };
        let mut small = Small::new(22)
            .input("x", &sequence.map(|n| n as i64))
            .constant("w", tensor(&[d, g, IN], &w))
            .constant("r", tensor(&[d, g, h], &r))
            .constant("b", tensor(&[d, 2 * g], &b))
            .constant("h0", tensor(&state, &h0))
            .constant("c0", tensor(&state, &c0))
            .constant("p", tensor(&[d, 3 * h], &p));
        if let Some(lengths) = self.lengths {
            small = small.constant("lengths", tensor1(&lengths));
        }
        let given = |name, there| if there { name } else { "" };
        let (h0, c0) = (given("h0", self.states > 0), given("c0", self.states > 1));
        let inputs = ["x", "w", "r", given("b", self.bias), given("lengths", self.lengths.is_some()), h0, c0];
        let inputs: Vec<&str> = inputs.into_iter().chain([given("p", self.peepholes)]).collect();
        let inputs = &inputs[..if self.op == "LSTM" { 8 } else { 6 }];
        small.node(self.op, inputs, &["y", "last"], &self.attributes).output("y").output("last")
    }

    /// All states and the last ones by a cell: features, state and weights of one sequence to the next state.
    fn expected(&self, cell: impl Fn(&Cell<'_>) -> [Vec<f32>; 2]) -> [Vec<f32>; 2] {
        let (d, g) = (self.directions, self.gates * HIDDEN);
        let x = numbers(STEPS * BATCH * IN, 1);
        let [w, r, b, h0, c0, p] = self.weights();
        let mut all = vec![0f32; STEPS * d * BATCH * HIDDEN];
        let mut last = vec![0f32; d * BATCH * HIDDEN];
        for direction in 0..d {
            let backwards = direction == 1 || self.attributes.iter().any(|a| a.s == b"reverse");
            for n in 0..BATCH {
                let place = if self.batch_first() { n * d + direction } else { direction * BATCH + n } * HIDDEN;
                let initial = |states: &[f32], there| {
                    if there { states[place..place + HIDDEN].to_vec() } else { vec![0.0; HIDDEN] }
                };
                let (mut h, mut c) = (initial(&h0, self.states > 0), initial(&c0, self.states > 1));
                let length = self.lengths.map_or(STEPS, |l| l[n] as usize);
                for i in 0..length {
                    let t = if backwards { length - 1 - i } else { i };
                    let at = if self.batch_first() { n * STEPS + t } else { t * BATCH + n } * IN;
                    let dot = |row: &[f32], v: &[f32]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f32>();
                    let rows = |m: &[f32], width: usize, v: &[f32]| {
                        m[direction * g * width..].chunks(width).take(g).map(|row| dot(row, v)).collect::<Vec<_>>()
                    };
                    let (mut fx, mut fh) = (rows(&w, IN, &x[at..at + IN]), rows(&r, HIDDEN, &h));
                    if self.bias {
                        let b = &b[direction * 2 * g..];
                        fx.iter_mut().zip(b).for_each(|(f, b)| *f += b);
                        fh.iter_mut().zip(&b[g..]).for_each(|(f, b)| *f += b);
                    }
                    let r = &r[direction * g * HIDDEN..];
                    let p = &p[direction * 3 * HIDDEN..];
                    [h, c] = cell(&Cell { fx, fh, h, c, r, p });
                    let y = match self.batch_first() {
                        false => ((t * d + direction) * BATCH + n) * HIDDEN,
                        true => ((n * STEPS + t) * d + direction) * HIDDEN,
                    };
                    all[y..y + HIDDEN].copy_from_slice(&h);
                }
                last[place..place + HIDDEN].copy_from_slice(&h);
            }
        }
        [all, last]
    }

    fn check(&self, cell: impl Fn(&Cell<'_>) -> [Vec<f32>; 2]) {
        let x = random(&if self.batch_first() { [BATCH, STEPS, IN] } else { [STEPS, BATCH, IN] }, 1);
        let [all, last] = self.expected(cell);
        let got = self.small().run(&[x]);
        let d = self.directions;
        let (y, h) = match self.batch_first() {
            false => ([STEPS, d, BATCH, HIDDEN], [d, BATCH, HIDDEN]),
            true => ([BATCH, STEPS, d, HIDDEN], [BATCH, d, HIDDEN]),
        };
        near(&got[0], &y, &all);
        near(&got[1], &h, &last);
    }
}

/// What a cell reads: features of input and state with their biases, state, recurrent weights, peepholes.
struct Cell<'a> {
    fx: Vec<f32>,
    fh: Vec<f32>,
    h: Vec<f32>,
    c: Vec<f32>,
    r: &'a [f32],
    p: &'a [f32],
}

impl Cell<'_> {
    fn sum(&self, gate: usize, j: usize) -> f32 {
        self.fx[gate * HIDDEN + j] + self.fh[gate * HIDDEN + j]
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// An LSTM cell with functions f, g, h of gate arguments; `peephole` weighs peepholes.
fn lstm(cell: &Cell<'_>, peephole: f32, coupled: bool, [f, g, h]: [fn(f32) -> f32; 3]) -> [Vec<f32>; 2] {
    let (mut hidden, mut state) = (Vec::new(), Vec::new());
    for j in 0..HIDDEN {
        let p = |gate: usize| peephole * cell.p[gate * HIDDEN + j];
        let i = f(cell.sum(0, j) + p(0) * cell.c[j]);
        let forget = if coupled { 1.0 - i } else { f(cell.sum(2, j) + p(2) * cell.c[j]) };
        let c = forget * cell.c[j] + i * g(cell.sum(3, j));
        hidden.push(f(cell.sum(1, j) + p(1) * c) * h(c));
        state.push(c);
    }
    [hidden, state]
}

const USUAL: [fn(f32) -> f32; 3] = [sigmoid, f32::tanh, f32::tanh];

fn gru(cell: &Cell<'_>, after: bool) -> [Vec<f32>; 2] {
    let z: Vec<f32> = (0..HIDDEN).map(|j| sigmoid(cell.sum(0, j))).collect();
    let r: Vec<f32> = (0..HIDDEN).map(|j| sigmoid(cell.sum(1, j))).collect();
    let hidden = |j: usize| {
        let g = 2 * HIDDEN + j;
        let row = &cell.r[g * HIDDEN..(g + 1) * HIDDEN];
        let product = |v: &dyn Fn(usize) -> f32| row.iter().enumerate().map(|(i, w)| w * v(i)).sum::<f32>();
        let bias = cell.fh[g] - product(&|i| cell.h[i]);
        let n = match after {
            true => (cell.fx[g] + r[j] * cell.fh[g]).tanh(),
            false => (cell.fx[g] + product(&|i| r[i] * cell.h[i]) + bias).tanh(),
        };
        (1.0 - z[j]) * n + z[j] * cell.h[j]
    };
    [(0..HIDDEN).map(hidden).collect(), Vec::new()]
}

#[test]
fn lstm_cells_are_unrolled() {
    Case::new("LSTM", 4).check(|c| lstm(c, 0.0, false, USUAL));
    Case { states: 2, peepholes: true, ..Case::new("LSTM", 4).bidirectional() }.check(|c| lstm(c, 1.0, false, USUAL));
    let coupled = Case::new("LSTM", 4).with(node::int("input_forget", 1)).with(node::text("direction", "reverse"));
    Case { states: 2, bias: false, ..coupled }.check(|c| lstm(c, 0.0, true, USUAL));
    let first = Case { states: 1, ..Case::new("LSTM", 4).bidirectional().with(node::int("layout", 1)) };
    first.check(|c| lstm(c, 0.0, false, USUAL));
}

#[test]
fn sequences_of_a_batch_have_lengths_of_their_own() {
    let lengths = Some([3, 1]);
    Case { lengths, states: 2, ..Case::new("LSTM", 4).bidirectional() }.check(|c| lstm(c, 0.0, false, USUAL));
    Case { lengths, ..Case::new("GRU", 3) }.check(|c| gru(c, false));
    Case { lengths: Some([3, 3]), ..Case::new("GRU", 3) }.check(|c| gru(c, false));
    let long = Case { lengths: Some([3, 4]), ..Case::new("GRU", 3) };
    assert!(long.small().refusal().contains("a sequence of length 4 in one of 3 steps"), "{}", long.small().refusal());
}

#[test]
fn functions_have_parameters_and_bounds() {
    let names: Vec<&str> = vec!["HardSigmoid", "ScaledTanh", "Affine"];
    let texts = AttributeProto {
        name: "activations".into(),
        strings: names.iter().map(|n| n.as_bytes().to_vec()).collect(),
        r#type: tract_onnx::pb::attribute_proto::AttributeType::Strings as i32,
        ..Default::default()
    };
    let floats = |name: &str, floats: &[f32]| AttributeProto {
        name: name.into(),
        floats: floats.to_vec(),
        r#type: tract_onnx::pb::attribute_proto::AttributeType::Floats as i32,
        ..Default::default()
    };
    let case = Case::new("LSTM", 4)
        .with(texts)
        .with(floats("activation_alpha", &[0.25, 1.5, 2.0]))
        .with(floats("activation_beta", &[0.4, 0.5]))
        .with(node::float("clip", 0.3));
    let functions: [fn(f32) -> f32; 3] = [
        |x| (0.25 * x.clamp(-0.3, 0.3) + 0.4).clamp(0.0, 1.0),
        |x| 1.5 * (0.5 * x.clamp(-0.3, 0.3)).tanh(),
        |x| 2.0 * x,
    ];
    Case { states: 2, ..case }.check(|c| lstm(c, 0.0, false, functions));
}

#[test]
fn gru_cells_reset_before_or_after_the_product() {
    Case::new("GRU", 3).check(|c| gru(c, false));
    for after in [false, true] {
        let case = || Case::new("GRU", 3).with(node::int("linear_before_reset", i64::from(after)));
        Case { states: 1, ..case().bidirectional() }.check(|c| gru(c, after));
        Case { states: 1, bias: false, ..case() }.check(|c| gru(c, after));
        Case { states: 0, ..case().with(node::int("layout", 1)) }.check(|c| gru(c, after));
    }
}

#[test]
fn plain_cells_are_unrolled() {
    let cell = |c: &Cell<'_>| [(0..HIDDEN).map(|j| c.sum(0, j).tanh()).collect(), Vec::new()];
    Case::new("RNN", 1).check(cell);
    Case { states: 1, ..Case::new("RNN", 1).bidirectional() }.check(cell);
}

#[test]
fn weights_of_eight_bits_are_the_floats_that_they_stand_for() {
    let q = |shape: &[usize], seed: u64| {
        let bytes: Vec<u8> = numbers(shape.iter().product(), seed).iter().map(|v| (v * 100.0 + 128.0) as u8).collect();
        Tensor::from_shape(shape, &bytes).unwrap()
    };
    let (w, r) = (q(&[1, IN, 4 * HIDDEN], 1), q(&[1, HIDDEN, 4 * HIDDEN], 2));
    let hidden = [node::int("hidden_size", HIDDEN as i64)];
    let base = || Small::new(17).input("x", &[STEPS as i64, BATCH as i64, IN as i64]);
    let (scales, zeros) = ([0.01f32, 0.02], [128u8, 120]);
    let inputs = ["x", "w", "r", "", "", "", "", "", "sw", "zw", "sr", "zr"];
    let columns = |value: u8| Tensor::from_shape(&[1, 4 * HIDDEN], &[value; 4 * HIDDEN]).unwrap();
    let quantised = base()
        .constant("w", w.clone())
        .constant("r", r.clone())
        .constant("sw", tensor1(&scales[..1]))
        .constant("zw", tensor1(&zeros[..1]))
        .constant("sr", Tensor::from_shape(&[1, 4 * HIDDEN], &[scales[1]; 4 * HIDDEN]).unwrap())
        .constant("zr", columns(zeros[1]))
        .node("com.microsoft:DynamicQuantizeLSTM", &inputs, &["y"], &hidden)
        .output("y");
    let floats = |q: &Tensor, rows: usize, i: usize| {
        let q = crate::frontend::rewrite::tensor::floats(q).unwrap();
        let turned = (0..4 * HIDDEN).flat_map(|j| (0..rows).map(move |i| i * 4 * HIDDEN + j));
        let turned: Vec<f32> = turned.map(|at| (q[at] - f32::from(zeros[i])) * scales[i]).collect();
        Tensor::from_shape(&[1, 4 * HIDDEN, rows], &turned).unwrap()
    };
    let plain = base()
        .constant("w", floats(&w, IN, 0))
        .constant("r", floats(&r, HIDDEN, 1))
        .node("LSTM", &["x", "w", "r"], &["y"], &hidden)
        .output("y");
    let x = random(&[STEPS, BATCH, IN], 3);
    let want = plain.run(std::slice::from_ref(&x)).remove(0);
    let want = crate::frontend::rewrite::tensor::floats(&want).unwrap();
    near(&quantised.run(std::slice::from_ref(&x))[0], &[STEPS, 1, BATCH, HIDDEN], &want);
    let (_, notes) = quantised.rewritten().unwrap();
    assert!(notes[0].contains("not rounded to 8 bits"), "{notes:?}");
}
