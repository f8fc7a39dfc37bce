//! The advice of a layer's circuit.

use crate::{
    cell::Cell,
    field::{Fr, Mask, batch_invert, int},
};
use ff::Field;
use nanozk_plan::{FixedColumn, Geometry, Lookup, MASK_ROWS, Plan, Tag, cost::fractions, hiding::FRACTIONS_PER_HELPER};
use rayon::prelude::*;

/// A column of small integers, or what a cheating prover puts there, with its mask.
#[derive(Clone, Debug)]
pub struct LaneColumn<C = i64> {
    /// Data rows.
    pub data: Vec<C>,
    /// Mask rows.
    pub mask: Mask,
}

impl<C: Cell> LaneColumn<C> {
    /// The column as field elements, up to the last usable row.
    pub fn to_field(&self, geometry: &Geometry) -> Vec<Fr> {
        column(geometry, self.data.iter().map(|v| v.to_field()), &self.mask)
    }
}

/// A column of field elements from its data rows and mask.
pub fn column(geometry: &Geometry, data: impl Iterator<Item = Fr>, mask: &Mask) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; geometry.usable()];
    for (cell, v) in out.iter_mut().zip(data) {
        *cell = v;
    }
    out[geometry.mask_rows()].copy_from_slice(mask);
    out
}

/// What the circuit of one layer is filled from.
#[derive(Clone, Debug)]
pub struct LayerWitness<C = i64> {
    /// All lanes.
    pub lanes: Vec<LaneColumn<C>>,
    /// Value columns of the pair tables: `2^b` entries each.
    pub tables: Vec<Vec<i64>>,
    /// Multiplicities per table (range table first) with their mask rows.
    pub multiplicities: Vec<LaneColumn>,
    /// Per data row: the bilinear product plus all linear terms.
    pub linear: Vec<Fr>,
    /// The plan's geometry.
    pub geometry: Geometry,
}

/// Value of a fixed column per data row.
pub fn fixed_values(spec: &FixedColumn, rows: usize) -> Vec<i64> {
    let mut out = vec![0; rows];
    for (start, len, value) in &spec.runs {
        let start = (*start as usize).min(rows);
        let end = (start + *len as usize).min(rows);
        out[start..end].fill(*value);
    }
    out
}

/// Counts how often each table row is looked up. Values outside their table are not counted: the proof of such a
/// witness does not verify.
pub fn multiplicities<C: Cell>(plan: &Plan, lanes: &[LaneColumn<C>], tables: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let rows = plan.geometry.rows();
    let size = 1usize << plan.geometry.limb_bits;
    let mut out = vec![vec![0i64; size]; tables.len() + 1];
    for lookup in &plan.lookups {
        let mask = lookup.mask.map(|id| fixed_values(&plan.fixed[id as usize], rows));
        let tags = row_tags(plan, lookup);
        let a = &lanes[lookup.a as usize].data;
        for row in 0..rows {
            if mask.as_ref().is_some_and(|m| m[row] == 0) {
                continue;
            }
            let entry = a[row].key().and_then(|key| out.get_mut(tags.at(row))?.get_mut(key));
            if let Some(count) = entry {
                *count += 1;
            }
        }
    }
    out
}

/// The table of each row of a lookup.
enum RowTags {
    Same(usize),
    PerRow(Vec<i64>),
}

impl RowTags {
    fn at(&self, row: usize) -> usize {
        match self {
            RowTags::Same(t) => *t,
            RowTags::PerRow(v) => v[row] as usize,
        }
    }
}

fn row_tags(plan: &Plan, lookup: &Lookup) -> RowTags {
    match lookup.tag {
        Tag::Table(t) => RowTags::Same(t as usize),
        Tag::Fixed(id) => RowTags::PerRow(fixed_values(&plan.fixed[id as usize], plan.geometry.rows())),
    }
}

/// Computes the second-phase advice: helper columns and the running sum.
pub struct AdviceBuilder<'a, C = i64> {
    plan: &'a Plan,
    witness: &'a LayerWitness<C>,
    beta: Fr,
    gamma: Fr,
    /// `1 / (beta + v + gamma out + gamma^2 tag)` per table and entry.
    inverses: Vec<Vec<Fr>>,
}

impl<'a, C: Cell> AdviceBuilder<'a, C> {
    /// Prepares the table inverses.
    pub fn new(plan: &'a Plan, witness: &'a LayerWitness<C>, beta: Fr, gamma: Fr) -> Self {
        let size = 1usize << plan.geometry.limb_bits;
        let inverses = (0..=witness.tables.len())
            .map(|table| {
                let mut x: Vec<Fr> = (0..size)
                    .map(|v| {
                        let out = if table == 0 { 0 } else { witness.tables[table - 1][v] };
                        denominator(beta, gamma, int(v as i64), int(out), table)
                    })
                    .collect();
                batch_invert(&mut x);
                x
            })
            .collect();
        AdviceBuilder { plan, witness, beta, gamma, inverses }
    }

    /// Helper columns over the usable rows, and the running sum over rows `0..=rows`.
    pub fn second_phase(&self) -> (Vec<Vec<Fr>>, Vec<Fr>) {
        let count = fractions(self.plan);
        let rows = self.plan.geometry.rows();
        let indices: Vec<usize> = (0..count).collect();
        let helpers: Vec<Vec<Fr>> = indices
            .par_chunks(FRACTIONS_PER_HELPER)
            .map(|chunk| {
                let mut helper = vec![Fr::ZERO; self.plan.geometry.usable()];
                for fraction in chunk {
                    self.add_fraction(*fraction, &mut helper);
                }
                helper
            })
            .collect();
        let mut run = Vec::with_capacity(rows + 1);
        let mut sum = Fr::ZERO;
        run.push(sum);
        for row in 0..rows {
            sum += self.witness.linear[row];
            for helper in &helpers {
                sum += helper[row];
            }
            run.push(sum);
        }
        (helpers, run)
    }

    fn add_fraction(&self, fraction: usize, helper: &mut [Fr]) {
        match self.plan.lookups.get(fraction) {
            Some(lookup) => self.add_lookup(lookup, helper),
            None => self.add_table(fraction - self.plan.lookups.len(), helper),
        }
    }

    fn add_lookup(&self, lookup: &Lookup, helper: &mut [Fr]) {
        let geometry = &self.plan.geometry;
        let mask = lookup.mask.map(|id| fixed_values(&self.plan.fixed[id as usize], geometry.rows()));
        let tags = row_tags(self.plan, lookup);
        let a = &self.witness.lanes[lookup.a as usize];
        let b = lookup.b.map(|b| &self.witness.lanes[b as usize]);
        for row in 0..geometry.rows() {
            if mask.as_ref().is_some_and(|m| m[row] == 0) {
                continue;
            }
            let table = tags.at(row);
            helper[row] += self.inverse(a.data[row], b.map(|b| b.data[row]), table);
        }
        // Fixed tag columns are 0 on the mask rows.
        let tag = match lookup.tag {
            Tag::Table(t) => t as usize,
            Tag::Fixed(_) => 0,
        };
        let mut x: Vec<Fr> = (0..MASK_ROWS)
            .map(|i| denominator(self.beta, self.gamma, a.mask[i], b.map_or(Fr::ZERO, |b| b.mask[i]), tag))
            .collect();
        batch_invert(&mut x);
        add(&mut helper[geometry.mask_rows()], &x);
    }

    /// The inverse of a looked-up row: from the table if it is there, computed if a witness is wrong.
    fn inverse(&self, key: C, value: Option<C>, table: usize) -> Fr {
        let is = |wanted: i64| value.map_or(wanted == 0, |v| v.is(wanted));
        let known = key.key().and_then(|k| self.inverses.get(table)?.get(k).map(|inv| (k, inv)));
        match known {
            Some((k, inv)) if table == 0 && is(0) || table > 0 && is(self.witness.tables[table - 1][k]) => *inv,
            _ => {
                let value = value.map_or(Fr::ZERO, C::to_field);
                denominator(self.beta, self.gamma, key.to_field(), value, table).invert().unwrap_or(Fr::ZERO)
            }
        }
    }

    fn add_table(&self, table: usize, helper: &mut [Fr]) {
        let geometry = &self.plan.geometry;
        let m = &self.witness.multiplicities[table];
        for (row, (count, inverse)) in m.data.iter().zip(&self.inverses[table]).enumerate() {
            if *count != 0 {
                helper[row] -= int(*count) * inverse;
            }
        }
        // Index and table values are 0 on the mask rows.
        let x = denominator(self.beta, self.gamma, Fr::ZERO, Fr::ZERO, table).invert().unwrap_or(Fr::ZERO);
        let masked: Vec<Fr> = m.mask.iter().map(|m| -*m * x).collect();
        add(&mut helper[geometry.mask_rows()], &masked);
    }
}

fn add(target: &mut [Fr], values: &[Fr]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += v;
    }
}

/// `beta + a + gamma b + gamma^2 tag`.
fn denominator(beta: Fr, gamma: Fr, a: Fr, b: Fr, tag: usize) -> Fr {
    beta + a + gamma * b + gamma * gamma * Fr::from(tag as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circuit has the same denominators, or honest proofs would fail. As a plain integer, a tag would make
    /// `(v + 1, tag 0)` pass for `(v, tag 1)`.
    #[test]
    fn a_tag_stands_apart_from_values() {
        let [beta, gamma] = [Fr::from(1_000_003), Fr::from(10_007)];
        let mut seen = std::collections::HashSet::new();
        for (a, b, tag) in (0..4u64).flat_map(|a| (0..4u64).flat_map(move |b| (0..4usize).map(move |tag| (a, b, tag))))
        {
            assert!(seen.insert(denominator(beta, gamma, Fr::from(a), Fr::from(b), tag)), "({a}, {b}) of table {tag}");
        }
    }
}
