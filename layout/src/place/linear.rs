//! Relations, and rows and exponents of products.

use super::{PlaceError, Placer};
use crate::error::{Excess, LayoutError};
use crate::expr::Expr;
use crate::hidden::{Group, GroupShape, Product};
use crate::merge::{self, Placed};
use crate::space::{ETA, ROW};
use nanozk_ir::int::ops::MatMul;
use nanozk_plan::check::MAX_ITEMS;
use nanozk_plan::{Functional, FunctionalEntry, TokenWeight, WeightTile};
use std::collections::BTreeSet;

impl Placer<'_> {
    /// Relations, products and functionals.
    pub fn linear(&mut self, columns: Option<u32>) -> Result<(), PlaceError> {
        let relations: Result<Vec<_>, _> = self.emitted.relations.iter().map(|(_, e)| self.placed(e, 1)).collect();
        self.plan.relations = merge::relations(relations?.into_iter());
        self.plan.weight_columns = self.weight_columns(columns)?;

        let (mut rho, mut row, mut terms) = (0, 0, 0u64);
        let mut claims = Vec::new();
        let mut rows = Rows::default();
        for group in self.emitted.groups.iter().filter(|g| !g.products.is_empty()) {
            let exponents = match group.shape {
                GroupShape::Matrix { outputs, positions } => u64::from(positions) * u64::from(self.pitch(outputs)),
                GroupShape::Scores { heads } => heads.into(),
                GroupShape::Context { outputs } => outputs.into(),
                GroupShape::Pair { rows, .. } => rows.into(),
            };
            let next = u64::from(rho) + exponents;
            terms = group.products.iter().map(|p| self.left_terms(p)).fold(terms, u64::saturating_add);
            if next > MAX_ITEMS || terms > MAX_ITEMS {
                return Err(PlaceError::Geometry(Excess::Products));
            }
            self.claims(group, rho, &mut claims)?;
            for product in &group.products {
                row = self.product(product, group.shape, row, rho, &mut rows)?;
            }
            rho = next as u32;
        }
        self.plan.claims = merge::claims(claims.into_iter());
        self.plan.operands = merge::operands(rows.left.into_iter());
        self.plan.right_operands = merge::operands(rows.right.into_iter());
        let functionals = [(TokenWeight::Eta, rows.keys), (TokenWeight::Row, rows.values)];
        let functionals = functionals.into_iter().filter(|(_, entries)| !entries.is_empty());
        self.plan.functionals = functionals.map(|(kind, entries)| Functional { kind, entries }).collect();
        Ok(())
    }

    /// Terms of the rows of A that one product needs.
    fn left_terms(&self, product: &Product) -> u64 {
        let terms = |exprs: &[Expr]| exprs.iter().map(|expr| 1 + expr.len() as u64).sum::<u64>();
        match product {
            Product::Matrix { inputs, outputs, .. } => {
                u64::from(outputs.div_ceil(self.plan.weight_columns.max(1))).saturating_mul(terms(inputs))
            }
            Product::Diagonal { inputs: factors, .. }
            | Product::Scores { query: factors, .. }
            | Product::Context { weights: factors, .. }
            | Product::Pair { left: factors, .. } => terms(factors),
        }
    }

    /// Exponents from one position of a matrix to the next: its columns, the spare ones included.
    fn pitch(&self, outputs: u32) -> u32 {
        outputs.next_multiple_of(self.plan.weight_columns.max(1))
    }

    /// Exponents of rho and eta of output `index` of a group from those of its first on.
    fn exponents(&self, shape: GroupShape, index: u32) -> (u32, u32) {
        let tokens = self.plan.geometry.tokens;
        match shape {
            GroupShape::Matrix { outputs, .. } => (index / outputs * self.pitch(outputs) + index % outputs, 0),
            GroupShape::Scores { .. } => (index / tokens, tokens - 1 - index % tokens),
            GroupShape::Context { .. } => (index, 0),
            GroupShape::Pair { cols, .. } => (index / cols, index % cols),
        }
    }

    fn claims(&self, group: &Group, rho: u32, out: &mut Vec<(u32, u32, Vec<Placed>)>) -> Result<(), LayoutError> {
        for (index, bound) in group.bound.iter().enumerate() {
            let (own, eta) = self.exponents(group.shape, index as u32);
            let terms = bound.as_ref().map(|expr| self.placed(expr, 1)).transpose()?.unwrap_or_default();
            out.push((rho + own, eta, terms));
        }
        Ok(())
    }

    /// Where the matrix stands; from row `row` on if no product has read it yet. A matrix that several products read, as
    /// the steps of a recurrence do, stands in the columns once.
    fn tile(&mut self, weight: u32, row: u32, inputs: u32, outputs: u32) -> WeightTile {
        let known = self.plan.tiles.iter().find(|tile| tile.weight == weight).copied();
        known.unwrap_or_else(|| {
            let tile = WeightTile { weight, row, inputs, outputs };
            self.plan.tiles.push(tile);
            tile
        })
    }

    /// Adds one product's rows, from row `row` and the exponent `rho` of its group on; returns the next free row.
    fn product(
        &mut self,
        product: &Product,
        shape: GroupShape,
        row: u32,
        rho: u32,
        out: &mut Rows,
    ) -> Result<u32, LayoutError> {
        let tokens = self.plan.geometry.tokens;
        match product {
            Product::Matrix { weight, inputs, positions, outputs, scale } => {
                let outputs = *outputs;
                let (columns, parts) = (self.plan.weight_columns, outputs.div_ceil(self.plan.weight_columns));
                let tile = self.tile(*weight, row, inputs.len() as u32 / positions, outputs);
                for part in 0..parts {
                    for i in 0..tile.inputs {
                        for p in 0..*positions {
                            let terms = self.placed(&inputs[(p * tile.inputs + i) as usize], *scale)?;
                            if !terms.is_empty() {
                                let rho = rho + p * self.pitch(outputs) + part * columns;
                                out.left.push((tile.row + i * parts + part, (rho, 0), terms));
                            }
                        }
                    }
                }
                Ok(row.max(tile.end(columns)))
            }
            Product::Diagonal { weight, inputs, rows, scale } => {
                let tile = self.tile(*weight, row, *rows, 1);
                for (index, input) in inputs.iter().enumerate() {
                    let terms = self.placed(input, *scale)?;
                    if !terms.is_empty() {
                        let own = self.exponents(shape, index as u32).0;
                        out.left.push((tile.row + index as u32 % rows, (rho + own, 0), terms));
                    }
                }
                Ok(row.max(tile.end(self.plan.weight_columns)))
            }
            Product::Scores { query, heads, keys } => {
                for member in 0..heads.group() {
                    for kv in 0..heads.kv {
                        let head = kv * heads.group() + member;
                        for c in 0..heads.dim {
                            let terms = self.placed(&query[(head * heads.dim + c) as usize], 1)?;
                            out.left.push((row + kv * heads.dim + c, (rho + head, 0), terms));
                        }
                    }
                }
                let rows = heads.kv * heads.dim;
                out.keys.extend((0..rows).map(|i| FunctionalEntry {
                    slot: self.slot(ETA, keys + i),
                    row: row + i,
                    rho: 0,
                }));
                Ok(row + rows)
            }
            Product::Context { weights, heads, values } => {
                for member in 0..heads.group() {
                    for kv in 0..heads.kv {
                        let head = kv * heads.group() + member;
                        for u in 0..tokens {
                            let terms = self.placed(&weights[(head * tokens + u) as usize], 1)?;
                            out.left.push((row + kv * tokens + u, (rho + head * heads.dim, 0), terms));
                        }
                    }
                }
                out.values.extend((0..heads.kv * heads.dim).map(|i| FunctionalEntry {
                    slot: self.slot(ROW, values + i),
                    row: row + i / heads.dim * tokens,
                    rho: i % heads.dim,
                }));
                Ok(row + heads.kv * tokens)
            }
            Product::Pair { sizes: MatMul { batch, rows, inner, cols }, left, right } => {
                let mut met = vec![false; (batch * inner) as usize];
                for i in 0..batch * inner {
                    for c in 0..*cols {
                        let terms = self.placed(&right[(i * cols + c) as usize], 1)?;
                        if !terms.is_empty() {
                            met[i as usize] = true;
                            out.right.push((row + i, (0, c), terms));
                        }
                    }
                }
                // What meets zeros alone adds nothing.
                for b in 0..*batch {
                    for r in 0..*rows {
                        for i in (0..*inner).filter(|i| met[(b * inner + i) as usize]) {
                            let terms = self.placed(&left[((b * rows + r) * inner + i) as usize], 1)?;
                            if !terms.is_empty() {
                                out.left.push((row + b * inner + i, (rho + b * rows + r, 0), terms));
                            }
                        }
                    }
                }
                Ok(row + batch * inner)
            }
        }
    }

    /// The number of weight columns: as asked, or the smallest power of two from 32 whose rows fit.
    fn weight_columns(&self, asked: Option<u32>) -> Result<u32, PlaceError> {
        let products = || self.emitted.groups.iter().flat_map(|g| &g.products);
        let widest = products()
            .filter_map(|p| match p {
                Product::Matrix { outputs, .. } => Some(*outputs),
                Product::Diagonal { .. } => Some(1),
                _ => None,
            })
            .max();
        let tokens = self.plan.geometry.tokens as u64;
        let rows = |columns: u32| -> u64 {
            let mut weights = BTreeSet::new();
            let first = |p: &&Product| match p {
                Product::Matrix { weight, .. } | Product::Diagonal { weight, .. } => weights.insert(*weight),
                _ => true,
            };
            products()
                .filter(first)
                .map(|p| match p {
                    Product::Matrix { inputs, positions, outputs, .. } => {
                        inputs.len() as u64 / *positions as u64 * outputs.div_ceil(columns.max(1)) as u64
                    }
                    Product::Diagonal { rows, .. } => (*rows).into(),
                    Product::Scores { heads, .. } => heads.kv as u64 * heads.dim as u64,
                    Product::Context { heads, .. } => heads.kv as u64 * tokens,
                    Product::Pair { sizes, .. } => sizes.batch as u64 * sizes.inner as u64,
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
            let k = self.plan.geometry.k;
            return Err(PlaceError::Geometry(Excess::ProductRows { needed, columns, k, room }));
        }
        Ok(columns)
    }
}

/// Summands of rows of A and B.
#[derive(Default)]
struct Rows {
    left: Vec<Summand>,
    right: Vec<Summand>,
    keys: Vec<FunctionalEntry>,
    values: Vec<FunctionalEntry>,
}

/// Row, exponents of rho and eta, and what is multiplied by them.
type Summand = (u32, (u32, u32), Vec<Placed>);
