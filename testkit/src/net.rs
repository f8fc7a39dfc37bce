//! Small integer models, built value by value so that every shift fits what it shifts.

use nanozk_ir::int::{Graph, Layer, Model, Node, Op, Role, Tensor, Term, ValueId, interp, ops};
use nanozk_layout::{Lowered, Options, Ports, lower};
use nanozk_plan::Port;
use nanozk_plan::mock::{self, Assignment, MockError};
use std::collections::BTreeMap;

/// A model of one layer under construction, with the values of its nodes on one input.
pub struct Net {
    /// The model.
    pub model: Model,
    /// Values of the inputs by port, token by token.
    pub inputs: Vec<Vec<i64>>,
    /// Values of the nodes, token by token.
    pub values: Vec<Vec<i64>>,
    /// State of the generator of [`Net::random`].
    pub seed: u64,
    /// Weights of [`Net::linear`] stay within it.
    pub magnitude: i64,
}

impl Net {
    /// A layer without nodes.
    pub fn new(tokens: u32, limb_bits: u32) -> Self {
        let layer = Layer { name: "layer".into(), ..Default::default() };
        let shapes = vec![Graph::default()];
        let model = Model { tokens, limb_bits, shapes, layers: vec![layer], ..Default::default() };
        Net { model, inputs: Vec::new(), values: Vec::new(), seed: 7, magnitude: 20 }
    }

    /// Numbers of at most this magnitude, the same in every run.
    pub fn random(&mut self, count: usize, magnitude: i64) -> Vec<i64> {
        let mut draw = || {
            self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((self.seed >> 33) as i64).rem_euclid(2 * magnitude + 1) - magnitude
        };
        (0..count).map(|_| draw()).collect()
    }

    fn graph(&mut self) -> &mut Graph {
        &mut self.model.shapes[0]
    }

    /// Features of a value.
    pub fn features(&self, id: ValueId) -> u32 {
        self.model.shapes[0].nodes[id as usize].features
    }

    /// Appends a node and computes it; its bounds are those of the values.
    pub fn push(&mut self, op: Op, inputs: &[ValueId], features: u32) -> ValueId {
        let name = format!("{} {}", op.name(), self.values.len());
        let limit = interp::LIMIT;
        let id = self.graph().push(Node { name, op, inputs: inputs.to_vec(), features, lo: -limit, hi: limit });
        let inputs: Vec<&[i64]> = self.inputs.iter().map(Vec::as_slice).collect();
        self.values = interp::run(&self.model, 0, &inputs).unwrap();
        let (lo, hi) =
            (*self.values[id as usize].iter().min().unwrap(), *self.values[id as usize].iter().max().unwrap());
        let node = &mut self.model.shapes[0].nodes[id as usize];
        (node.lo, node.hi) = (lo, hi);
        id
    }

    fn tensor(&mut self, features: u32, role: Role) -> u32 {
        let (lo, hi) = (-interp::LIMIT, interp::LIMIT);
        self.model.tensors.push(Tensor { name: "t".into(), features, scale: 1.0, lo, hi, role });
        (self.model.tensors.len() - 1) as u32
    }

    /// An input with these values, token by token.
    pub fn input(&mut self, data: Vec<i64>, role: Role) -> ValueId {
        let features = data.len() as u32 / self.model.tokens;
        let tensor = self.tensor(features, role);
        let port = self.inputs.len() as u32;
        self.inputs.push(data);
        self.model.layers[0].inputs.push(tensor);
        self.push(ops::Input { port }.into(), &[], features)
    }

    /// Makes a value an output.
    pub fn output(&mut self, x: ValueId, role: Role) {
        let features = self.features(x);
        let tensor = self.tensor(features, role);
        self.model.layers[0].outputs.push(tensor);
        let port = self.model.layers[0].outputs.len() as u32 - 1;
        self.push(ops::Output { port }.into(), &[x], features);
    }

    /// A random matrix.
    pub fn weight(&mut self, rows: u32, cols: u32, magnitude: i64) -> u32 {
        let data = self.random((rows * cols) as usize, magnitude).iter().map(|&v| v as i32).collect();
        self.model.layers[0].weights.push(data);
        self.graph().weights.push((rows, cols));
        self.model.shapes[0].weights.len() as u32 - 1
    }

    /// A table of one limb, entry by entry.
    pub fn table(&mut self, entry: impl Fn(i64) -> i64) -> u32 {
        let size = 1i64 << self.model.limb_bits;
        self.model.layers[0].tables.push((0..size).map(entry).collect());
        self.graph().tables += 1;
        self.model.shapes[0].tables - 1
    }

    /// A number that belongs to the layer.
    pub fn param(&mut self, value: i64) -> u32 {
        self.model.layers[0].params.push(value);
        self.graph().params += 1;
        self.model.shapes[0].params - 1
    }

    /// `x W + b` with random `W` and, where there is a bias, `b`.
    pub fn linear(&mut self, x: ValueId, outputs: u32, bias: bool) -> ValueId {
        let inputs = self.features(x);
        let weight = self.weight(inputs, outputs, self.magnitude);
        let bias = bias.then(|| self.weight(1, outputs, 100));
        self.push(ops::Linear { weight, bias, positions: 1 }.into(), &[x], outputs)
    }

    /// Sums of features with coefficients, one row for each feature of the result: input, feature, coefficient.
    pub fn affine(&mut self, inputs: &[ValueId], rows: Vec<Vec<(u32, u32, i64)>>) -> ValueId {
        let term = |&(input, feature, coef): &(u32, u32, i64)| Term { input, feature, coef };
        let rows: Vec<Vec<Term>> = rows.iter().map(|row| row.iter().map(term).collect()).collect();
        let features = rows.len() as u32;
        self.push(Op::Affine(ops::Affine { rows }), inputs, features)
    }

    /// `x + y`.
    pub fn add(&mut self, x: ValueId, y: ValueId) -> ValueId {
        let rows = (0..self.features(x)).map(|j| vec![(0, j, 1), (1, j, 1)]).collect();
        self.affine(&[x, y], rows)
    }

    /// The single feature of `x`, `features` times.
    pub fn broadcast(&mut self, x: ValueId, features: u32) -> ValueId {
        self.affine(&[x], vec![vec![(0, 0, 1)]; features as usize])
    }

    /// The sum of all features of each token.
    pub fn sum(&mut self, x: ValueId) -> ValueId {
        let row = (0..self.features(x)).map(|j| (0, j, 1)).collect();
        self.affine(&[x], vec![row])
    }

    /// Some of the features.
    pub fn slice(&mut self, x: ValueId, range: std::ops::Range<u32>) -> ValueId {
        self.affine(&[x], range.map(|j| vec![(0, j, 1)]).collect())
    }

    /// Requant to `out_limbs` limbs by the least shift that fits.
    pub fn requant(&mut self, x: ValueId, out_limbs: u32) -> ValueId {
        let b = self.model.limb_bits;
        let max = self.values[x as usize].iter().map(|v| v.abs()).max().unwrap();
        let limbs = (1..).find(|s| (max >> (s * b)) + 1 < 1 << (out_limbs * b - 1)).unwrap();
        let features = self.features(x);
        self.push(ops::Requant { limbs, out_limbs, clamp: false }.into(), &[x], features)
    }

    /// The tensors at the ends of the layer.
    pub fn ports(&self) -> Ports {
        Ports::of(&self.model, 0).unwrap()
    }

    /// Options of the layout for this model.
    pub fn options(&self) -> Options {
        Options::new(self.model.tokens, self.model.limb_bits)
    }

    /// The layer's plan.
    pub fn lower(&self) -> Lowered {
        lower(&self.model.shapes[0], &self.ports(), &self.options()).unwrap()
    }

    /// The lanes that an honest prover fills.
    pub fn lanes(&self, lowered: &Lowered) -> Vec<Vec<i64>> {
        nanozk_layout::witness::fill(lowered, &self.model, 0, &self.values).unwrap()
    }

    /// Boundary tensors by port.
    pub fn tensors(&self) -> BTreeMap<Port, Vec<i64>> {
        let mut tensors: BTreeMap<Port, Vec<i64>> =
            self.inputs.iter().enumerate().map(|(i, v)| (Port::Input(i as u32), v.clone())).collect();
        for (port, node) in interp::outputs(&self.model.shapes[0]) {
            tensors.insert(Port::Output(port as u32), self.values[node].clone());
        }
        tensors
    }

    /// Whether lanes satisfy the plan, with the layer's tables, parameters, weights and tensors.
    ///
    /// # Errors
    ///
    /// The first constraint that fails.
    pub fn check(&self, lowered: &Lowered, lanes: &[Vec<i64>]) -> Result<(), MockError> {
        let publics = self.tensors();
        let layer = &self.model.layers[0];
        let (tables, params, weights) = (&layer.table_values(), &layer.params, &layer.weights);
        mock::check(&lowered.plan, &Assignment { lanes, tables, params, weights, publics: &publics })
    }
}
