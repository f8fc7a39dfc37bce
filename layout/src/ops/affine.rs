//! Affine: sums stay virtual, and long sums that many facts read get a cell.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use crate::hidden::{Group, GroupShape, Product};
use crate::space::RAW;
use nanozk_ir::int::ops::{Affine, Site};
use nanozk_ir::int::{Term, ValueId};

impl Circuit for Affine {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, _: &Site) -> Result<Vec<Expr>, LayoutError> {
        let mut exprs = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let part = |term: &Term| {
                let input = emitter.input(id, term.input as usize)?;
                Ok((&emitter.values[input as usize][term.feature as usize], term.coef as i128))
            };
            exprs.push(Expr::sum(row.iter().map(part).collect::<Result<Vec<_>, LayoutError>>()?));
        }
        if let Some(joined) = emitter.join_products(id, &exprs) {
            return Ok(joined);
        }
        let long: Vec<usize> = (0..exprs.len()).filter(|&j| emitter.worth_a_cell(id, j, &exprs[j])).collect();
        for j in long {
            let cell = Atom::Cell(RAW, emitter.alloc(RAW, 1));
            emitter.fill(&[cell], id, Quantity::Value, j as u32, 0, None);
            emitter.define(Expr::atom(cell).plus(&exprs[j], -1));
            exprs[j] = Expr::atom(cell);
        }
        Ok(exprs)
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (1, self.rows.iter().map(|row| row.len() as u64).sum())
    }

    fn reads(&self, _: &Site, operand: u32, uses: &mut [u32]) {
        let own = self.rows.iter().flatten().filter(|term| term.input == operand);
        own.for_each(|term| uses[term.feature as usize] += 1);
    }
}

impl Emitter<'_> {
    /// Whether the facts that read the sum become much shorter when it has a cell. A sum with a product that needs a
    /// cell anyway takes the product's place.
    fn worth_a_cell(&self, id: ValueId, feature: usize, expr: &Expr) -> bool {
        let (terms, uses) = (expr.len(), self.uses[id as usize][feature] as usize);
        terms * uses > 4 * (terms + uses + 1) || (terms > 1 && uses > 1 && self.is_undefined(expr))
    }

    /// A weighted sum of matrix products that nothing else reads is one group of outputs: `sum c_i x_i W_i`.
    fn join_products(&mut self, id: ValueId, exprs: &[Expr]) -> Option<Vec<Expr>> {
        let parts = |j: usize| -> Option<Vec<(u32, i128)>> {
            exprs[j]
                .terms()
                .iter()
                .map(|&(atom, coef)| match atom {
                    Atom::Raw(group, index) if index as usize == j => Some((group, coef)),
                    _ => None,
                })
                .collect()
        };
        let groups = parts(0).filter(|groups| groups.len() > 1)?;
        // Diagonals take the shape of what they are added to.
        let is_diagonal = |group: &Group| group.products.iter().all(|p| matches!(p, Product::Diagonal { .. }));
        let all = || groups.iter().map(|&(group, _)| &self.out.groups[group as usize]);
        let shape = all().find(|group| !is_diagonal(group)).or(all().next())?.shape;
        let GroupShape::Matrix { outputs, positions } = shape else { return None };
        if outputs * positions != exprs.len() as u32 {
            return None;
        }
        let free = groups.iter().all(|&(group, _)| {
            let group = &self.out.groups[group as usize];
            (group.shape == shape || is_diagonal(group) && group.bound.len() == exprs.len())
                && group.bound.iter().all(Option::is_none)
                && self.consumers[group.node as usize] == [id]
        });
        if !free || (1..exprs.len()).any(|j| parts(j).as_ref() != Some(&groups)) {
            return None;
        }
        let mut products = Vec::new();
        for (group, coef) in groups {
            for mut product in std::mem::take(&mut self.out.groups[group as usize].products) {
                if let Product::Matrix { scale, .. } | Product::Diagonal { scale, .. } = &mut product {
                    *scale = scale.saturating_mul(coef);
                    products.push(product);
                }
            }
        }
        Some(self.group(id, shape, products))
    }
}
