//! Relations, and rows and exponents of products.

use super::{PlaceError, Placer};
use crate::error::LayoutError;
use crate::hidden::{Group, GroupShape, Product};
use crate::merge::{self, Placed};
use crate::space::{ETA, ROW};
use nanozk_plan::{Functional, FunctionalEntry, TokenWeight, WeightTile};

impl Placer<'_> {
    /// Relations, products and functionals.
    pub fn linear(&mut self, columns: Option<u32>) -> Result<(), PlaceError> {
        let relations: Result<Vec<_>, _> = self.emitted.relations.iter().map(|e| self.placed(e, 1)).collect();
        self.plan.relations = merge::relations(relations?.into_iter());
        self.plan.weight_columns = self.weight_columns(columns)?;

        let (mut rho, mut row) = (0, 0);
        let (mut claims, mut operands) = (Vec::new(), Vec::new());
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for group in self.emitted.groups.iter().filter(|g| !g.products.is_empty()) {
            self.claims(group, rho, &mut claims)?;
            for product in &group.products {
                let mut rows = Rows { row, rho, operands: &mut operands, keys: &mut keys, values: &mut values };
                row = self.product(product, &mut rows)?;
            }
            rho += match group.shape {
                GroupShape::Matrix { outputs } => outputs.next_multiple_of(self.plan.weight_columns.max(1)),
                GroupShape::Scores { heads } => heads,
                GroupShape::Context { outputs } => outputs,
            };
        }
        self.plan.claims = merge::claims(claims.into_iter());
        self.plan.operands = merge::operands(operands.into_iter());
        for (kind, entries) in [(TokenWeight::Eta, keys), (TokenWeight::Row, values)] {
            let chunks = entries.chunks(self.groups() as usize);
            self.plan.functionals.extend(chunks.map(|chunk| Functional { kind, entries: chunk.to_vec() }));
        }
        Ok(())
    }

    fn claims(&self, group: &Group, rho: u32, out: &mut Vec<(u32, u32, Vec<Placed>)>) -> Result<(), LayoutError> {
        let tokens = self.plan.geometry.tokens;
        for (index, bound) in group.bound.iter().enumerate() {
            let index = index as u32;
            let (rho, eta) = match group.shape {
                GroupShape::Scores { .. } => (rho + index / tokens, tokens - 1 - index % tokens),
                _ => (rho + index, 0),
            };
            let terms = bound.as_ref().map(|expr| self.placed(expr, 1)).transpose()?.unwrap_or_default();
            out.push((rho, eta, terms));
        }
        Ok(())
    }

    /// Adds one product's rows; returns the next free row.
    fn product(&mut self, product: &Product, out: &mut Rows) -> Result<u32, LayoutError> {
        let tokens = self.plan.geometry.tokens;
        match product {
            Product::Matrix { weight, inputs, outputs, scale } => {
                let (inputs_len, per_input) = (inputs.len() as u32, outputs.div_ceil(self.plan.weight_columns));
                self.plan.tiles.push(WeightTile {
                    weight: *weight,
                    row: out.row,
                    inputs: inputs_len,
                    outputs: *outputs,
                });
                for part in 0..per_input {
                    for (i, input) in inputs.iter().enumerate() {
                        let row = out.row + i as u32 * per_input + part;
                        let terms = self.placed(input, *scale)?;
                        out.operands.push((row, out.rho + part * self.plan.weight_columns, terms));
                    }
                }
                Ok(out.row + inputs_len * per_input)
            }
            Product::Scores { query, heads, keys } => {
                for member in 0..heads.group() {
                    for kv in 0..heads.kv {
                        let head = kv * heads.group() + member;
                        for c in 0..heads.dim {
                            let terms = self.placed(&query[(head * heads.dim + c) as usize], 1)?;
                            out.operands.push((out.row + kv * heads.dim + c, out.rho + head, terms));
                        }
                    }
                }
                let rows = heads.kv * heads.dim;
                out.keys.extend((0..rows).map(|i| FunctionalEntry {
                    slot: self.slot(ETA, keys + i),
                    row: out.row + i,
                    rho: 0,
                }));
                Ok(out.row + rows)
            }
            Product::Context { weights, heads, values } => {
                for member in 0..heads.group() {
                    for kv in 0..heads.kv {
                        let head = kv * heads.group() + member;
                        for u in 0..tokens {
                            let terms = self.placed(&weights[(head * tokens + u) as usize], 1)?;
                            out.operands.push((out.row + kv * tokens + u, out.rho + head * heads.dim, terms));
                        }
                    }
                }
                out.values.extend((0..heads.kv * heads.dim).map(|i| FunctionalEntry {
                    slot: self.slot(ROW, values + i),
                    row: out.row + i / heads.dim * tokens,
                    rho: i % heads.dim,
                }));
                Ok(out.row + heads.kv * tokens)
            }
        }
    }

    /// The number of weight columns: as asked, or the smallest power of two from 32 whose rows fit.
    fn weight_columns(&self, asked: Option<u32>) -> Result<u32, PlaceError> {
        let products = || self.emitted.groups.iter().flat_map(|g| &g.products);
        let widest = products()
            .filter_map(|p| match p {
                Product::Matrix { outputs, .. } => Some(*outputs),
                _ => None,
            })
            .max();
        let tokens = self.plan.geometry.tokens as u64;
        let rows = |columns: u32| -> u64 {
            products()
                .map(|p| match p {
                    Product::Matrix { inputs, outputs, .. } => {
                        inputs.len() as u64 * outputs.div_ceil(columns.max(1)) as u64
                    }
                    Product::Scores { heads, .. } => heads.kv as u64 * heads.dim as u64,
                    Product::Context { heads, .. } => heads.kv as u64 * tokens,
                })
                .sum()
        };
        let room = self.plan.geometry.rows() as u64;
        let mut columns = match (widest, asked) {
            (None, _) => 0,
            (Some(_), Some(asked)) => asked.max(1),
            (Some(_), None) => 32,
        };
        while let (None, Some(widest)) = (asked, widest)
            && rows(columns) > room
            && columns < widest
        {
            columns *= 2;
        }
        if rows(columns) > room {
            let needed = rows(columns);
            return Err(PlaceError::Geometry(format!(
                "its products need {needed} rows of {columns} weight columns, 2^{} rows hold {room}",
                self.plan.geometry.k
            )));
        }
        Ok(columns)
    }
}

/// Where the next product's rows go.
struct Rows<'r> {
    row: u32,
    rho: u32,
    operands: &'r mut Vec<(u32, u32, Vec<Placed>)>,
    keys: &'r mut Vec<FunctionalEntry>,
    values: &'r mut Vec<FunctionalEntry>,
}
