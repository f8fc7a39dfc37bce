//! What the proof of one layer reveals, enumerated from the constraint system of its verifying key.

use crate::matrix::{Functional, Matrix, Random, scaled};
use ff::{Field, PrimeField};
use nanozk_plan::hiding::FRACTIONS_PER_HELPER;
use nanozk_plan::{MASK_ROWS, Plan};
use nanozk_proof::field::{Fr, int, powers};
use nanozk_proof::layer::{LayerKey, ShapeKey};
use nanozk_proof::span_proof::SPAN_ROWS;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

const POINT: usize = 48;
const SCALAR: usize = 32;

/// One element that a verifier learns.
pub struct Revealed {
    /// What it is.
    pub what: String,
    /// It as a function of the prover's random cells.
    pub function: Functional,
    /// A function of the elements before it, by an equation that every verifier knows.
    pub implied: bool,
}

/// Elements by how they relate to the earlier ones.
#[derive(Default)]
pub struct Outcome {
    /// Independent of all before them.
    pub independent: usize,
    /// Functions of those before them, by an equation that every verifier knows.
    pub implied: usize,
    /// Neither independent nor implied: a leak.
    pub leaks: Vec<String>,
    matrix: Matrix,
    told: HashSet<Random>,
}

impl Outcome {
    /// Takes on what a proof reveals, and the commitments beside it; the length of the proof in bytes.
    pub fn add(&mut self, proof: &mut Proof) -> usize {
        for (first, function) in proof.outside() {
            if self.told.insert(first) && !self.matrix.add(function) {
                self.leaks.push(format!("commitment of {first:?}"));
            }
        }
        let (revealed, bytes) = proof.revealed();
        let (layer, id) = (proof.layer, proof.id);
        for element in revealed {
            match (self.matrix.add(element.function), element.implied) {
                (true, false) => self.independent += 1,
                (false, true) => self.implied += 1,
                (false, false) => self.leaks.push(format!("layer {layer}, proof {id}: {}", element.what)),
                (true, true) => panic!("layer {layer}: {} is not what others imply", element.what),
            }
        }
        bytes
    }
}

/// Where the random cells of an opened column are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Lane(u32),
    Dense(usize),
    Weights,
    Fold,
    Public,
    Multiplicity(usize),
    Helper(usize),
    Blinded(usize),
}

/// One proof of one layer at random challenges.
pub struct Proof<'a> {
    shape: &'a ShapeKey,
    key: &'a LayerKey,
    layer: u32,
    /// Number of the proof: its fresh randomness.
    id: usize,
    /// The secret of the SRS: who knows it reads a commitment as the column's value there.
    s: Fr,
    x: Fr,
    rng: ChaCha20Rng,
    rho: Fr,
    lambda: Fr,
    /// `1 / x^2` and `gamma / x^2` of each lookup on each mask row, and `1 / x` of each table.
    slopes: Vec<Vec<[Fr; 2]>>,
    tables: Vec<Fr>,
    /// Whether the weight fold is re-randomised.
    pub rerandomise: bool,
    /// Number of the proof whose masks the private lanes have: its own.
    pub masks: usize,
}

impl<'a> Proof<'a> {
    /// Proof number `id`, of a layer and its number, under the SRS with secret `s`; `masks` are the values of the lanes'
    /// random cells.
    pub fn new(
        shape: &'a ShapeKey,
        (layer, key): (u32, &'a LayerKey),
        id: usize,
        s: Fr,
        masks: &mut dyn FnMut(Random) -> Fr,
        mut rng: ChaCha20Rng,
    ) -> Self {
        let mut draw = || Fr::random(&mut rng);
        let (x, rho, lambda, beta, gamma) = (draw(), draw(), draw(), draw(), draw());
        let mut proof = Proof {
            shape,
            key,
            layer,
            id,
            s,
            x,
            rng,
            rho,
            lambda,
            slopes: Vec::new(),
            tables: Vec::new(),
            rerandomise: true,
            masks: id,
        };
        let tag = |t: u32| gamma * gamma * int(t as i64);
        for lookup in &shape.plan.lookups {
            let tag = match lookup.tag {
                nanozk_plan::Tag::Table(t) => tag(t),
                nanozk_plan::Tag::Fixed(_) => Fr::ZERO,
            };
            let slope = |row| {
                let a = masks(proof.lane_cell(lookup.a, row));
                let b = lookup.b.map_or(Fr::ZERO, |b| masks(proof.lane_cell(b, row)));
                let inverse: Fr = (beta + a + gamma * b + tag).invert().unwrap();
                [-inverse.square(), -inverse.square() * gamma]
            };
            let slopes = (0..MASK_ROWS).map(slope).collect();
            proof.slopes.push(slopes);
        }
        proof.tables = (0..=shape.plan.tables).map(|t| -(beta + tag(t)).invert().unwrap()).collect();
        proof
    }

    fn plan(&self) -> &Plan {
        &self.shape.plan
    }

    fn draw(&mut self) -> Fr {
        Fr::random(&mut self.rng)
    }

    /// The random cell of a lane in its `i`-th mask row.
    fn lane_cell(&self, lane: u32, i: usize) -> Random {
        for boundary in &self.plan().boundaries {
            if let Some(at) = boundary.lanes.iter().position(|l| *l == lane) {
                return Random::Tensor(self.key.tensor(boundary.port).unwrap(), at as u32, i);
            }
        }
        Random::Lane(self.masks, lane, i)
    }

    /// `L_row(point)` for some rows of the circuit's domain.
    fn lagrange(&self, rows: Range<usize>, point: Fr) -> Vec<Fr> {
        let k = self.plan().geometry.k;
        let factor = (point.pow_vartime([1u64 << k]) - Fr::ONE) * Fr::TWO_INV.pow_vartime([k as u64]);
        let value = |row: usize| {
            let root = self.omega().pow_vartime([row as u64]);
            factor * root * (point - root).invert().unwrap()
        };
        rows.map(value).collect()
    }

    fn omega(&self) -> Fr {
        Fr::ROOT_OF_UNITY.pow_vartime([1u64 << (Fr::S - self.plan().geometry.k)])
    }

    fn rotated(&self, point: Fr, rotation: i32) -> Fr {
        let step = if rotation < 0 { self.omega().invert().unwrap() } else { self.omega() };
        point * step.pow_vartime([rotation.unsigned_abs() as u64])
    }

    /// The value at a point as a function of the random cells.
    fn value(&self, column: Column, point: Fr) -> Functional {
        let masked = self.lagrange(self.plan().geometry.mask_rows(), point);
        let masks = |cell: &dyn Fn(usize) -> Random| -> Functional {
            masked.iter().enumerate().map(|(i, l)| (cell(i), *l)).collect()
        };
        // Halo2's own random rows: those beyond the usable ones.
        let blinds = |index: usize| -> Functional {
            let rows = self.plan().geometry.usable()..1 << self.plan().geometry.k;
            let values = self.lagrange(rows.clone(), point);
            rows.zip(values).map(|(row, l)| (Random::Advice(self.id, index, row), l)).collect()
        };
        match column {
            Column::Public => Functional::new(),
            Column::Lane(lane) => masks(&|i| self.lane_cell(lane, i)),
            Column::Dense(index) => masks(&|i| Random::Dense(self.id, index, i)),
            Column::Fold => {
                let factors = powers(self.lambda, self.plan().lanes.len());
                let lane = |(lane, factor)| scaled(self.value(Column::Lane(lane as u32), point), factor);
                factors.into_iter().enumerate().flat_map(lane).collect()
            }
            Column::Weights => {
                let factors = powers(self.rho, self.key.weights.len());
                let column = |(c, factor)| scaled(masks(&|i| Random::Weight(self.layer, c, i)), factor);
                let mut out: Functional = factors.into_iter().enumerate().flat_map(column).collect();
                if self.rerandomise {
                    out.extend((0..SPAN_ROWS).map(|i| (Random::Delta(self.id, i), masked[i])));
                }
                out
            }
            Column::Multiplicity(index) => {
                let mut out = blinds(index);
                out.extend(masks(&|i| Random::Advice(self.id, index, self.plan().geometry.mask_rows().start + i)));
                out
            }
            Column::Blinded(index) => blinds(index),
            Column::Helper(helper) => {
                let lookups = self.plan().lookups.len();
                let first = helper * FRACTIONS_PER_HELPER;
                let mut out = Functional::new();
                for fraction in first..(first + FRACTIONS_PER_HELPER).min(lookups + self.tables.len()) {
                    for (i, l) in masked.iter().enumerate() {
                        if fraction < lookups {
                            let lookup = &self.plan().lookups[fraction];
                            let [a, b] = self.slopes[fraction][i];
                            out.push((self.lane_cell(lookup.a, i), a * l));
                            out.extend(lookup.b.map(|lane| (self.lane_cell(lane, i), b * l)));
                        } else {
                            let table = fraction - lookups;
                            let row = self.plan().geometry.mask_rows().start + i;
                            out.push((Random::Advice(self.id, table, row), self.tables[table] * l));
                        }
                    }
                }
                out
            }
        }
    }

    /// Committed instance columns in circuit order.
    fn instances(&self) -> Vec<Column> {
        let c = &self.shape.columns;
        let mut out: Vec<Column> = c.opened.iter().map(|lane| Column::Lane(*lane)).collect();
        out.extend((0..c.v + c.a + c.b).map(Column::Dense));
        out.extend(std::iter::repeat_n(Column::Weights, c.w));
        out.extend(std::iter::repeat_n(Column::Fold, c.fold));
        out.extend(std::iter::repeat_n(Column::Public, c.tables));
        assert_eq!(out.len(), c.committed(), "a column that this test does not know");
        out
    }

    /// Advice columns in circuit order.
    fn advice(&self) -> Vec<Column> {
        let (tables, lookups) = (self.plan().tables as usize + 1, self.plan().lookups.len());
        let helpers = (tables + lookups).div_ceil(FRACTIONS_PER_HELPER);
        let mut out: Vec<Column> = (0..tables).map(Column::Multiplicity).collect();
        out.extend((0..helpers).map(Column::Helper));
        out.push(Column::Blinded(out.len()));
        assert_eq!(out.len(), self.shape.vk.cs().num_advice_columns(), "a column that this test does not know");
        out
    }

    /// Every element of the proof in its order but the last two points of the batched opening, which everything before
    /// determines; and the length in bytes of all of them.
    pub fn revealed(&mut self) -> (Vec<Revealed>, usize) {
        let shape = self.shape;
        let (cs, c) = (shape.vk.cs(), &shape.columns);
        let (s, x, instances, advice) = (self.s, self.x, self.instances(), self.advice());
        let mut out = Vec::new();
        let mut bytes = 0;
        let mut tell = |size: usize, what: String, function: Functional, implied: bool| {
            bytes += size;
            out.push(Revealed { what, function, implied });
        };
        for (lane, spec) in self.plan().lanes.iter().enumerate() {
            if spec.boundary.is_none() {
                tell(POINT, format!("lane {lane}"), self.value(Column::Lane(lane as u32), s), false);
            }
        }
        for i in 0..c.v + c.a + c.b {
            tell(POINT, format!("V, A or B, column {i}"), self.value(Column::Dense(i), s), false);
        }
        if c.w == 1 {
            tell(POINT, "weight fold".into(), self.value(Column::Weights, s), !self.rerandomise);
            if self.rerandomise {
                let challenge = self.draw();
                let basis = self.lagrange(self.plan().geometry.mask_rows(), s);
                let t = (0..SPAN_ROWS).map(|i| (Random::Kappa(self.id, i), basis[i])).collect();
                tell(POINT, "T of the span proof".into(), t, false);
                for i in 0..SPAN_ROWS {
                    let z = vec![(Random::Kappa(self.id, i), Fr::ONE), (Random::Delta(self.id, i), challenge)];
                    // The span proof's equation gives the last response.
                    tell(SCALAR, format!("response {i} of the span proof"), z, i + 1 == SPAN_ROWS);
                }
            }
        }
        for (i, column) in advice.iter().enumerate() {
            tell(POINT, format!("advice {i}"), self.value(*column, s), false);
        }
        let polynomial = |id: usize, point: Fr| -> Functional {
            powers(point, 4).into_iter().enumerate().map(|(i, p)| (Random::Polynomial(id, i), p)).collect()
        };
        tell(POINT, "random polynomial".into(), polynomial(self.id, s), false);
        // The quotient at s is a function of all columns at s, and of the rotated ones beside it; its pieces are blinded.
        let rotated: Vec<(usize, i32)> =
            cs.advice_queries().iter().map(|(column, at)| (column.index(), at.0)).filter(|q| q.1 != 0).collect();
        let mut quotient = Functional::new();
        for (column, at) in &rotated {
            let factor = self.draw();
            quotient.extend(scaled(self.value(advice[*column], self.rotated(s, *at)), factor));
        }
        tell(POINT, "quotient".into(), quotient, false);
        for piece in 1..cs.degree() - 1 {
            let mut function = vec![(Random::Piece(self.id, piece), -Fr::ONE)];
            if piece + 1 < cs.degree() - 1 {
                function.push((Random::Piece(self.id, piece + 1), s));
            }
            tell(POINT, format!("piece {piece} of the quotient"), function, false);
        }
        // Openings, grouped by their points for the batched opening.
        let mut sets: BTreeMap<(bool, usize), (Column, BTreeSet<i32>)> = BTreeMap::new();
        let all_opened = c.opened.len() == self.plan().lanes.len();
        for (column, at) in cs.instance_queries() {
            let Some(source) = instances.get(column.index()) else { continue };
            sets.entry((false, column.index())).or_insert((*source, BTreeSet::new())).1.insert(at.0);
            let function = self.value(*source, self.rotated(x, at.0));
            let implied = matches!(source, Column::Public) || (matches!(source, Column::Fold) && all_opened);
            tell(SCALAR, format!("instance {} at {}", column.index(), at.0), function, implied);
        }
        for (column, at) in cs.advice_queries() {
            let source = advice[column.index()];
            sets.entry((true, column.index())).or_insert((source, BTreeSet::new())).1.insert(at.0);
            let function = self.value(source, self.rotated(x, at.0));
            tell(SCALAR, format!("advice {} at {}", column.index(), at.0), function, false);
        }
        tell(SCALAR, "random polynomial at 0".into(), polynomial(self.id, x), false);
        let x3 = self.draw();
        let mut batches: BTreeMap<BTreeSet<i32>, Functional> = BTreeMap::new();
        batches.insert(BTreeSet::from([0]), polynomial(self.id, x3));
        for (column, points) in sets.into_values() {
            let factor = self.draw();
            batches.entry(points).or_default().extend(scaled(self.value(column, x3), factor));
        }
        for (points, function) in batches {
            tell(SCALAR, format!("batch of columns opened at {points:?}"), function, false);
        }
        (out, bytes + 2 * POINT)
    }

    /// Commitments that stand outside the proofs: of weights and of boundary tensors.
    pub fn outside(&self) -> Vec<(Random, Functional)> {
        let masked = self.lagrange(self.plan().geometry.mask_rows(), self.s);
        let column = |cell: &dyn Fn(usize) -> Random| {
            (cell(0), masked.iter().enumerate().map(|(i, l)| (cell(i), *l)).collect::<Functional>())
        };
        let weights = (0..self.key.weights.len()).map(|c| column(&|i| Random::Weight(self.layer, c, i)));
        let boundary = self.plan().boundaries.iter().flat_map(|b| &b.lanes);
        weights.chain(boundary.map(|lane| column(&|i| self.lane_cell(*lane, i)))).collect()
    }
}
