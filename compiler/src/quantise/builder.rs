//! Builds one shape together with the data and the ranges of every layer that instantiates it.

use super::{
    error::QuantiseError,
    parked::{Parked, ParkedWeights},
};
use nanozk_ir::int::{
    Curve, Graph, Layer, Node, Op, Table, Term, ValueId, interp, ops,
    ranges::{Norms, Range, Scope},
};
use nanozk_mutants::mutant;
use rayon::prelude::*;
use std::sync::Arc;

/// A shape under construction. Every push is analysed for every layer at once, so that choices (limbs, clamps) can be
/// made for the whole group.
pub(super) struct Builder {
    pub tokens: usize,
    pub limb_bits: u32,
    pub graph: Graph,
    /// The layers, whose weights are parked.
    layers: Vec<Layer>,
    /// Weights by layer.
    weights: Vec<Vec<Parked>>,
    /// Ranges of the input ports, by layer.
    ports: Vec<Vec<Range>>,
    /// Ranges of the nodes, by layer.
    ranges: Vec<Vec<Range>>,
    norms: Arc<Norms>,
}

/// A point to return to.
pub(super) struct Mark {
    nodes: usize,
    weights: usize,
    tables: usize,
    params: usize,
}

/// A sum of one term.
pub(super) fn term(input: u32, feature: usize, coef: i64) -> Term {
    Term { input, feature: feature as u32, coef }
}

impl Builder {
    pub fn new(tokens: usize, limb_bits: u32, names: &[String], ports: Vec<Vec<Range>>, norms: Arc<Norms>) -> Self {
        let layers: Vec<Layer> = names.iter().map(|name| Layer { name: name.clone(), ..Default::default() }).collect();
        let ranges = vec![Vec::new(); layers.len()];
        let weights = layers.iter().map(|_| Vec::new()).collect();
        Builder { tokens, limb_bits, graph: Graph::default(), layers, weights, ports, ranges, norms }
    }

    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
        features: usize,
    ) -> Result<ValueId, QuantiseError> {
        let node = Node { name: name.into(), op, inputs: inputs.to_vec(), features: features as u32, lo: 0, hi: 0 };
        let id = self.graph.push(node);
        let (tokens, limb_bits, graph, norms) = (self.tokens, self.limb_bits, &self.graph, &self.norms);
        let new: Vec<Range> = self
            .layers
            .par_iter_mut()
            .zip(&self.weights)
            .zip(self.ports.par_iter().zip(&self.ranges))
            .map(|((layer, parked), (ports, ranges))| {
                layer.weights.resize(parked.len(), Vec::new());
                let read = graph.nodes[id as usize].op.meaning().weights();
                read.iter().for_each(|&w| layer.weights[w as usize] = parked[w as usize].matrix());
                let scope = Scope { tokens, limb_bits, graph, layer, ports, norms };
                let range = scope.node(id, ranges);
                layer.weights.clear();
                range.map_err(|source| QuantiseError::Range { layer: layer.name.clone(), source })
            })
            .collect::<Result<_, _>>()?;
        self.ranges.iter_mut().zip(new).for_each(|(all, r)| all.push(r));
        Ok(id)
    }

    /// Range of a node in layer `g`.
    pub fn range(&self, g: usize, id: ValueId) -> &Range {
        &self.ranges[g][id as usize]
    }

    /// Least and greatest value of a node over all layers.
    pub fn bounds(&self, id: ValueId) -> (i64, i64) {
        let all = || self.ranges.iter().map(|r| r[id as usize].bounds());
        (all().map(|b| b.0).min().unwrap_or(0), all().map(|b| b.1).max().unwrap_or(0))
    }

    pub fn features(&self, id: ValueId) -> usize {
        self.graph.nodes[id as usize].features as usize
    }

    /// A `[rows, cols]` weight matrix, one per layer; one that is there already serves its readers together.
    pub fn weight(&mut self, rows: usize, cols: usize, data: Vec<Vec<i32>>) -> u32 {
        let size = (rows as u32, cols as u32);
        let data: Vec<Parked> = data.into_par_iter().map(|matrix| Parked::new(&matrix)).collect();
        let equal = |&at: &usize| {
            self.graph.weights[at] == size && self.weights.iter().zip(&data).all(|(all, d)| all[at] == *d)
        };
        if let Some(known) = (0..self.graph.weights.len()).find(equal) {
            return known as u32;
        }
        self.graph.weights.push(size);
        self.weights.iter_mut().zip(data).for_each(|(all, matrix)| all.push(matrix));
        self.graph.weights.len() as u32 - 1
    }

    /// Adds a table of `2^b` values, one per layer.
    pub fn table(&mut self, curves: impl IntoIterator<Item = Curve>) -> u32 {
        self.graph.tables += 1;
        let tables = curves.into_iter().map(|curve| Table::of(self.limb_bits, curve));
        self.layers.iter_mut().zip(tables).for_each(|(l, table)| l.tables.push(table));
        self.graph.tables - 1
    }

    /// Adds a parameter, one per layer.
    pub fn param(&mut self, data: &[i64]) -> u32 {
        self.graph.params += 1;
        self.layers.iter_mut().zip(data).for_each(|(l, &d)| l.params.push(mutant!(FirstParameters, d, data[0])));
        self.graph.params - 1
    }

    /// `picks` of one value.
    pub fn pick(&mut self, name: String, x: ValueId, picks: &[usize]) -> Result<ValueId, QuantiseError> {
        let rows = picks.iter().map(|&f| vec![term(0, f, 1)]).collect();
        self.push(name, ops::Affine { rows }.into(), &[x], picks.len())
    }

    /// Elementwise `ca * a + cb * b`.
    pub fn combine(&mut self, name: String, a: (ValueId, i64), b: (ValueId, i64)) -> Result<ValueId, QuantiseError> {
        let n = self.features(a.0);
        let rows = (0..n).map(|j| vec![term(0, j, a.1), term(1, j, b.1)]).collect();
        self.push(name, ops::Affine { rows }.into(), &[a.0, b.0], n)
    }

    /// `x + c` with a structural constant.
    pub fn plus(&mut self, name: String, x: ValueId, c: i64) -> Result<ValueId, QuantiseError> {
        self.shifted(name, x, 1, c)
    }

    /// `c - x`.
    pub fn minus(&mut self, name: String, c: i64, x: ValueId) -> Result<ValueId, QuantiseError> {
        self.shifted(name, x, -1, c)
    }

    /// `sign x + c`.
    fn shifted(&mut self, name: String, x: ValueId, sign: i64, c: i64) -> Result<ValueId, QuantiseError> {
        let constant = self.push(format!("{name}.constant"), ops::Const { rows: 1, data: vec![c] }.into(), &[], 1)?;
        let n = self.features(x);
        let rows = (0..n).map(|j| vec![term(0, j, sign), term(1, 0, 1)]).collect();
        self.push(name, ops::Affine { rows }.into(), &[x, constant], n)
    }

    /// Limbs that hold every value of `x` after dropping `shift` bits, over all layers.
    pub fn limbs_after(&self, x: ValueId, shift: u32) -> u32 {
        let (lo, hi) = self.bounds(x);
        let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        let peak = |v: i64| {
            let y = (i128::from(v) + half) >> shift;
            if y < 0 { (-y - 1) as u128 } else { y as u128 }
        };
        let bits = 129 - peak(lo).max(peak(hi)).leading_zeros();
        bits.div_ceil(self.limb_bits)
    }

    /// Limbs that hold every value from 0 to `most`.
    pub fn limbs(&self, most: i64) -> u32 {
        (64 - most.max(0).leading_zeros()).div_ceil(self.limb_bits).max(1)
    }

    /// Limbs that hold every value from `lo` to `hi` with its sign.
    pub fn signed_limbs(&self, lo: i64, hi: i64) -> u32 {
        let magnitude = |v: i64| if v < 0 { -1 - v } else { v };
        (65 - magnitude(lo).max(magnitude(hi)).leading_zeros()).div_ceil(self.limb_bits)
    }

    /// Limbs that hold the difference of any two values of `x`, over all layers.
    pub fn spread_limbs(&self, x: ValueId) -> u32 {
        let (lo, hi) = self.bounds(x);
        let gap = i128::from(hi) - i128::from(lo);
        (128 - gap.leading_zeros()).div_ceil(self.limb_bits).max(1)
    }

    pub fn mark(&self) -> Mark {
        Mark {
            nodes: self.graph.nodes.len(),
            weights: self.graph.weights.len(),
            tables: self.graph.tables as usize,
            params: self.graph.params as usize,
        }
    }

    /// Forgets everything added since `mark`.
    pub fn rollback(&mut self, mark: &Mark) {
        self.graph.nodes.truncate(mark.nodes);
        self.graph.weights.truncate(mark.weights);
        self.graph.tables = mark.tables as u32;
        self.graph.params = mark.params as u32;
        for layer in &mut self.layers {
            layer.tables.truncate(mark.tables);
            layer.params.truncate(mark.params);
        }
        self.weights.iter_mut().for_each(|all| all.truncate(mark.weights));
        self.ranges.iter_mut().for_each(|r| r.truncate(mark.nodes));
    }

    /// The finished shape with bounds that hold for every layer, the layers, and each layer's ranges.
    pub fn finish(mut self) -> (Graph, Vec<Layer>, Vec<Vec<Range>>) {
        // Matrices of ellipsoids are as large as the weights, and nothing outside reads those of inner values.
        let outputs: Vec<usize> = interp::outputs(&self.graph).map(|(_, node)| node).collect();
        for ranges in &mut self.ranges {
            let inner = ranges.iter_mut().enumerate().filter(|(id, _)| !outputs.contains(id));
            inner.for_each(|(_, range)| range.ellipsoid = None);
        }
        ParkedWeights(std::mem::take(&mut self.weights)).give_back(&mut self.layers);
        for id in 0..self.graph.nodes.len() {
            let (lo, hi) = self.bounds(id as ValueId);
            self.graph.nodes[id].lo = lo;
            self.graph.nodes[id].hi = hi;
        }
        (self.graph, self.layers, self.ranges)
    }
}
