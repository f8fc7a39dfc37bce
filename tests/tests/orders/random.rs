//! Random graphs of the supported ops, with every kind of data movement before their outputs.

use crate::numbered::Numbered;
use nanozk_compiler::onnx::{DataType, int, ints};
use rand_core::RngCore;

/// A graph with the values of its inputs.
pub struct Random {
    pub onnx: Numbered,
    pub data: Vec<Vec<f32>>,
    /// Shape of each output.
    pub shapes: Vec<Vec<usize>>,
}

/// A value `[1, tokens, features]`.
#[derive(Clone)]
struct Act {
    name: String,
    features: usize,
}

struct Draw<'r, R> {
    rng: &'r mut R,
    onnx: Numbered,
    tokens: usize,
    acts: Vec<Act>,
}

impl<R: RngCore> Draw<'_, R> {
    fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n
    }

    fn number(&mut self) -> f32 {
        self.rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.number()).collect()
    }

    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| all.swap(i, self.below(i + 1)));
        all
    }

    fn act(&mut self) -> Act {
        let at = self.below(self.acts.len());
        self.acts[at].clone()
    }

    fn push(&mut self, name: String, features: usize) {
        self.acts.push(Act { name, features });
    }

    /// One more activation.
    fn step(&mut self) {
        let x = self.act();
        let (name, n) = (x.name.as_str(), x.features);
        match self.below(16) {
            0 | 1 => {
                let out = 1 + self.below(6);
                let weight = self.numbers(n * out);
                let weight = self.onnx.constant(&[n, out], &weight);
                let y = self.onnx.node("MatMul", &[name, &weight], &[]);
                self.push(y, out);
            }
            2 => {
                let op = ["Relu", "Sigmoid", "Tanh"][self.below(3)];
                let y = self.onnx.node(op, &[name], &[]);
                self.push(y, n);
            }
            3 => {
                let same: Vec<Act> = self.acts.iter().filter(|a| a.features == n).cloned().collect();
                let other = &same[self.below(same.len())].name;
                let op = ["Add", "Sub", "Mul"][self.below(3)];
                let y = self.onnx.node(op, &[name, other], &[]);
                self.push(y, n);
            }
            4 => {
                let row = self.numbers(n);
                let row = self.onnx.constant(&[n], &row);
                let op = ["Add", "Mul"][self.below(2)];
                let y = self.onnx.node(op, &[name, &row], &[]);
                self.push(y, n);
            }
            5 => {
                let places = self.shuffled(n);
                let kept = 1 + self.below(n);
                let y = self.onnx.gather(name, 2, &places[..kept]);
                self.push(y, kept);
            }
            6 => {
                let y = self.onnx.reverse(name, 2);
                self.push(y, n);
            }
            7 => {
                let other = self.act();
                let y = self.onnx.node("Concat", &[name, &other.name], &[int("axis", 2)]);
                self.push(y, n + other.features);
            }
            8 => {
                let y = self.onnx.node("Softmax", &[name], &[int("axis", 2)]);
                self.push(y, n);
            }
            9 => {
                let [scale, bias] = [0.7, 0.1].map(|spread| {
                    let row: Vec<f32> = self.numbers(n).iter().map(|v| 1.0 + spread * v).collect();
                    self.onnx.constant(&[n], &row)
                });
                let y = self.onnx.node("LayerNormalization", &[name, &scale, &bias], &[int("axis", 2)]);
                self.push(y, n);
            }
            10 => {
                let op = ["Softplus", "HardSigmoid", "Softsign", "Abs", "Erf", "Elu"][self.below(6)];
                let y = self.onnx.node(op, &[name], &[]);
                self.push(y, n);
            }
            11 => {
                let [low, high] = [-0.5f32, 0.3].map(|v| self.onnx.constant(&[], &[v]));
                let y = self.onnx.node("Clip", &[name, &low, &high], &[]);
                self.push(y, n);
            }
            12 => {
                let bound = self.number() / 2.0;
                let bound = self.onnx.constant(&[], &[bound]);
                let above = self.onnx.node("Greater", &[name, &bound], &[]);
                let same: Vec<Act> = self.acts.iter().filter(|a| a.features == n).cloned().collect();
                let other = &same[self.below(same.len())].name;
                let y = self.onnx.node("Where", &[&above, name, other], &[]);
                self.push(y, n);
            }
            13 => {
                let square = self.onnx.node("Mul", &[name, name], &[]);
                let one = self.onnx.constant(&[], &[1f32]);
                let sum = self.onnx.node("Add", &[&square, &one], &[]);
                let y = match self.below(3) {
                    0 => self.onnx.node("Div", &[name, &sum], &[]),
                    1 => self.onnx.node("Sqrt", &[&sum], &[]),
                    _ => self.onnx.node("Log", &[&sum], &[]),
                };
                self.push(y, n);
            }
            14 => {
                let op = ["ReduceMean", "ReduceMax", "ReduceMin"][self.below(3)];
                let y = self.onnx.node(op, &[name], &[ints("axes", &[2])]);
                self.push(y, 1);
            }
            _ => {
                let keys = self.onnx.transpose(name, &[0, 2, 1]);
                let scores = self.onnx.node("MatMul", &[name, &keys], &[]);
                let weights = self.onnx.node("Softmax", &[&scores], &[int("axis", 2)]);
                let y = self.onnx.node("MatMul", &[&weights, name], &[]);
                self.push(y, n);
            }
        }
    }

    /// An output: an activation after some data movement.
    fn output(&mut self) -> (String, Vec<usize>) {
        let Act { name, features } = self.act();
        let (mut y, mut shape) = (name, vec![1, self.tokens, features]);
        if self.below(2) == 0 {
            let heads = (1..=features).filter(|h| features.is_multiple_of(*h)).collect::<Vec<_>>();
            let heads = heads[self.below(heads.len())];
            shape = vec![1, self.tokens, heads, features / heads];
            y = self.onnx.reshape(&y, &shape);
        }
        for _ in 0..self.below(3) {
            let axis = self.below(shape.len());
            match self.below(6) {
                0 | 1 => {
                    let axes = self.shuffled(shape.len());
                    y = self.onnx.transpose(&y, &axes);
                    shape = axes.iter().map(|&a| shape[a]).collect();
                }
                2 => y = self.onnx.reverse(&y, axis),
                3 => {
                    let places = self.shuffled(shape[axis]);
                    y = self.onnx.gather(&y, axis, &places);
                }
                4 => {
                    y = self.onnx.node("Concat", &[&y, &y], &[int("axis", axis as i64)]);
                    shape[axis] *= 2;
                }
                _ => y = self.onnx.node("Relu", &[&y], &[]),
            }
        }
        if self.below(4) == 0 {
            shape = vec![shape.iter().product()];
            y = self.onnx.reshape(&y, &shape);
        }
        (y, shape)
    }
}

/// A graph of the given randomness.
pub fn graph(rng: &mut impl RngCore) -> Random {
    let mut d = Draw { rng, onnx: Numbered::default(), tokens: 0, acts: Vec::new() };
    d.tokens = [1, 2, 3, 5, 7][d.below(5)];
    let mut data = Vec::new();
    for input in 0..1 + d.below(2) {
        let features = [1, 2, 3, 4, 6][d.below(5)];
        let name = d.onnx.input(&format!("x{input}"), DataType::Float, &[1, d.tokens, features]);
        data.push(d.numbers(d.tokens * features));
        d.push(name, features);
    }
    // What follows reads an activation that is computed, be it by the first step only.
    let x = d.acts[0].clone();
    let weight = d.numbers(x.features * 4);
    let weight = d.onnx.constant(&[x.features, 4], &weight);
    let y = d.onnx.node("MatMul", &[&x.name, &weight], &[]);
    d.acts[0] = Act { name: y, features: 4 };
    (0..d.below(5)).for_each(|_| d.step());
    let mut shapes = Vec::new();
    for output in 0..1 + d.below(3) {
        let (y, shape) = d.output();
        d.onnx.output(&format!("y{output}"), &y, &shape);
        shapes.push(shape);
    }
    Random { onnx: d.onnx, data, shapes }
}
