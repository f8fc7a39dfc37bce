//! The prover's lanes from the values of a layer's nodes.

use super::{Fill, Lowered, Part};
use nanozk_ir::int::gadgets::{Gadget, Site};
use nanozk_ir::int::interp::{
    argmax,
    attention::{attend_row, groups},
    requant::round_shift,
};
use nanozk_ir::int::{Graph, Model, Node, Op, Table, ValueId};
use nanozk_plan::{Plan, Tag};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Why the lanes cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The model has no such layer or shape.
    #[error("the model has no layer {layer}")]
    Layer {
        /// The layer asked for.
        layer: usize,
    },
    /// The values are not those of this layer's graph.
    #[error("node '{node}': {found} values, expected {expected}")]
    Values {
        /// Name of the node.
        node: String,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// A quantity exceeds the limbs that the plan gives it: the input is outside the range the model was built for.
    #[error(
        "node '{node}' ({op}), token {token}, feature {feature}: {value} is outside the {bits}-bit range of the proof; calibrate with data like this input"
    )]
    OutOfRange {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// Token.
        token: usize,
        /// Feature.
        feature: usize,
        /// The quantity with its offset.
        value: i64,
        /// Bits that hold it.
        bits: u32,
    },
    /// The plan asks for a quantity that the node does not have.
    #[error("node '{node}' ({op}) has no quantity {part:?}")]
    NoSuchPart {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// The quantity.
        part: Part,
    },
}

/// The data rows of every lane for one layer.
///
/// `node_values[n]` are the values of node n, row-major `[tokens, features]`; unplaced cells are 0, or the first table
/// entry in the value lane of a pair lookup.
///
/// # Errors
/// When the values do not belong to the layer, or one is outside the range that the plan can prove.
pub fn fill<W>(
    lowered: &Lowered,
    model: &Model<W>,
    layer: usize,
    node_values: &[Vec<i64>],
) -> Result<Vec<Vec<i64>>, WitnessError> {
    let missing = WitnessError::Layer { layer };
    let data = model.layers.get(layer).ok_or_else(|| missing.clone())?;
    let graph = model.shapes.get(data.shape as usize).ok_or(missing)?;
    let tokens = model.tokens as usize;
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, node)| !matches!(node.op, Op::Output { .. })) {
        let (found, expected) = (node_values.get(i).map_or(0, Vec::len), tokens * node.features as usize);
        if found != expected {
            return Err(WitnessError::Values { node: node.name.clone(), found, expected });
        }
    }
    let quantities =
        Quantities { graph, tables: &data.tables, params: &data.params, tokens, bits: model.limb_bits, node_values };
    let plan = &lowered.plan;
    let mut lanes = vec![vec![0i64; plan.geometry.rows()]; plan.lanes.len()];
    pad(plan, &data.tables, &mut lanes);
    let mut cache: HashMap<(ValueId, Part), Vec<i64>> = HashMap::new();
    for item in &lowered.fills {
        let node = graph.nodes.get(item.node as usize).ok_or(WitnessError::Layer { layer })?;
        let quantity = match cache.entry((item.node, item.part)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(quantities.compute(item.node, item.part)?),
        };
        let width = quantity.len() / tokens.max(1);
        if !fits(plan, item, width) {
            return Err(WitnessError::NoSuchPart { node: node.name.clone(), op: node.op.name(), part: item.part });
        }
        quantities.write(plan, item, quantity, &mut lanes)?;
    }
    Ok(lanes)
}

/// Whether the fill names features of its quantity, slots of the plan and one of its limbs.
fn fits(plan: &Plan, item: &Fill, width: usize) -> bool {
    let within = |first: u32, limit: usize| first as usize + item.count as usize <= limit;
    let limbs = item.limb.is_none_or(|(index, limbs)| index < limbs);
    within(item.first, width) && within(item.slot, plan.lane_slots() as usize) && limbs
}

/// Limb `index` of `value`, which `limbs` of them must hold; together they may have more bits than an i64.
fn limb(value: i64, index: u32, limbs: u32, bits: u32) -> Option<i64> {
    let above = |limbs: u32| value.checked_shr(limbs.saturating_mul(bits)).unwrap_or(0);
    (value >= 0 && above(limbs) == 0).then(|| above(index) & ((1 << bits) - 1))
}

/// Value lanes start as `table[0]` wherever a pair is looked up.
fn pad(plan: &Plan, tables: &[Table], lanes: &mut [Vec<i64>]) {
    let first = |tag: i64| tables.get(tag as usize - 1).and_then(|t| t.first()).copied().unwrap_or(0);
    for lookup in &plan.lookups {
        let Some(b) = lookup.b else { continue };
        match lookup.tag {
            Tag::Table(0) => {}
            Tag::Table(tag) => lanes[b as usize].fill(first(tag as i64)),
            Tag::Fixed(column) => {
                for &(start, len, tag) in plan.fixed[column as usize].runs.iter().filter(|run| run.2 > 0) {
                    lanes[b as usize][start as usize..(start + len) as usize].fill(first(tag));
                }
            }
        }
    }
}

struct Quantities<'a> {
    graph: &'a Graph,
    tables: &'a [Table],
    params: &'a [i64],
    tokens: usize,
    bits: u32,
    node_values: &'a [Vec<i64>],
}

impl Quantities<'_> {
    /// Writes one fill into the lanes.
    fn write(&self, plan: &Plan, item: &Fill, quantity: &[i64], lanes: &mut [Vec<i64>]) -> Result<(), WitnessError> {
        let width = quantity.len() / self.tokens;
        let node = &self.graph.nodes[item.node as usize];
        for i in 0..item.count {
            let slot = item.slot + i;
            let lane = &mut lanes[(slot / plan.geometry.groups) as usize];
            let feature = (item.first + i) as usize;
            for token in 0..self.tokens {
                let value = quantity[token * width + feature].wrapping_add(item.add);
                let cell = &mut lane[plan.geometry.row(slot, token as u32)];
                *cell = match item.limb {
                    None => value,
                    Some(_) if self.is_hidden(node, item.part, token, feature) => {
                        if item.limb.is_some_and(|(index, _)| index == 0) { value } else { 0 }
                    }
                    Some((index, limbs)) => limb(value, index, limbs, self.bits).ok_or_else(|| {
                        let (name, op, bits) = (node.name.clone(), node.op.name(), limbs * self.bits);
                        WitnessError::OutOfRange { node: name, op, token, feature, value, bits }
                    })?,
                };
            }
        }
        Ok(())
    }

    /// Whether the cell absorbs the score of a hidden pair of tokens: any integer, in the first limb.
    fn is_hidden(&self, node: &Node, part: Part, token: usize, feature: usize) -> bool {
        matches!(node.op, Op::Attend { causal: true, .. }) && part == Part::Over && feature % self.tokens > token
    }

    /// A quantity of an op of the registry.
    fn own(&self, node: &Node, gadget: &Gadget, value: &[i64], index: u8) -> Option<Vec<i64>> {
        let width = |&id: &ValueId| self.graph.nodes[id as usize].features as usize;
        let widths: Vec<usize> = node.inputs.iter().map(width).collect();
        let features = node.features as usize;
        let site = Site { tokens: self.tokens, limb_bits: self.bits, widths: &widths, features };
        let mut out = Vec::new();
        for token in 0..self.tokens {
            let row = |(i, &width): (usize, &usize)| &self.operand(node, i)[token * width..(token + 1) * width];
            let args: Vec<&[i64]> = widths.iter().enumerate().map(row).collect();
            let result = &value[token * features..(token + 1) * features];
            out.append(gadget.meaning().parts(&site, &args, result).get_mut(index as usize)?);
        }
        Some(out)
    }

    fn operand(&self, node: &Node, i: usize) -> &[i64] {
        node.inputs.get(i).map_or(&[], |&id| &self.node_values[id as usize])
    }

    /// A quantity of a node, `[tokens, width]`.
    fn compute(&self, id: ValueId, part: Part) -> Result<Vec<i64>, WitnessError> {
        let node = &self.graph.nodes[id as usize];
        let value = &self.node_values[id as usize];
        let x = self.operand(node, 0);
        let pairs = || value.iter().copied().zip(x.iter().copied());
        let param = |index: u32| self.params.get(index as usize).copied().unwrap_or(0);
        Ok(match (&node.op, part) {
            (_, Part::Value) => value.clone(),
            (_, Part::Square) => value.iter().map(|&v| v.wrapping_mul(v)).collect(),
            (Op::Requant { limbs, .. }, Part::Remainder) => {
                x.iter().map(|&x| round_shift(x, limbs * self.bits).1).collect()
            }
            (Op::Requant { limbs, .. }, Part::Over) => {
                pairs().map(|(y, x)| (round_shift(x, limbs * self.bits).0 - y).max(0)).collect()
            }
            (Op::Requant { limbs, .. }, Part::Under) => {
                pairs().map(|(y, x)| (y - round_shift(x, limbs * self.bits).0).max(0)).collect()
            }
            (Op::Recip { .. }, Part::Product) => pairs().map(|(r, z)| r * z).collect(),
            (Op::Recip { param: c }, Part::Remainder) => pairs().map(|(r, z)| param(*c) - r * z).collect(),
            (Op::Recip { param: c }, Part::Gap) => pairs().map(|(r, z)| z - 1 - (param(*c) - r * z)).collect(),
            (Op::RSqrt { .. }, Part::Linear) => pairs().map(|(r, v)| r * v).collect(),
            (Op::RSqrt { .. }, Part::Cubic) => pairs().map(|(r, v)| r * r * v).collect(),
            (Op::RSqrt { param: c }, Part::Low) => pairs().map(|(r, v)| param(*c) - r * r * v).collect(),
            (Op::RSqrt { param: c }, Part::High) => {
                let high = |r: i64, v: i64| (r + 1) as i128 * (r + 1) as i128 * v as i128 - 1 - param(*c) as i128;
                pairs().map(|(r, v)| high(r, v) as i64).collect()
            }
            (Op::Embed { vocab, .. }, Part::IsMax) => {
                x.iter().flat_map(|&id| (0..i64::from(*vocab)).map(move |v| i64::from(v == id))).collect()
            }
            (Op::Attend { keys, table, limbs, causal, .. }, part) => {
                let table = self.tables.get(*table as usize).filter(|table| !table.is_empty());
                let quantity = table.and_then(|table| self.attend(x, keys, table, limbs * self.bits, *causal, part));
                quantity.ok_or_else(|| no_such_part(node, part))?
            }
            (Op::ArgMax { .. }, part) => {
                let args: Vec<&[i64]> = (0..node.inputs.len()).map(|i| self.operand(node, i)).collect();
                argmax_quantity(&argmax::sum(&args), value, part).ok_or_else(|| no_such_part(node, part))?
            }
            (Op::Gadget(gadget), Part::Own(index)) => {
                self.own(node, gadget, value, index).ok_or_else(|| no_such_part(node, part))?
            }
            (_, part) => return Err(no_such_part(node, part)),
        })
    }

    /// Quantities of a softmax over scores in groups of `keys` features. Cells of hidden pairs absorb the raw score.
    fn attend(
        &self,
        scores: &[i64],
        keys: &[u32],
        table: &[i64],
        shift: u32,
        causal: bool,
        part: Part,
    ) -> Option<Vec<i64>> {
        let top = table.len() as i64 - 1;
        let mut out = Vec::new();
        let rows = scores.chunks((scores.len() / self.tokens).max(1)).enumerate();
        for (token, scores) in rows.flat_map(|(token, row)| groups(keys).map(move |group| (token, &row[group]))) {
            let visible = if causal { token + 1 } else { scores.len() };
            let row = attend_row(scores, visible, table, shift);
            let hidden = scores[visible..].iter().map(|&x| round_shift(x, shift));
            match part {
                Part::Max => out.push(row.max),
                Part::Remainder => {
                    out.extend_from_slice(&row.remainder[..visible]);
                    out.extend(hidden.map(|(_, remainder)| remainder));
                }
                Part::Distance => {
                    out.extend_from_slice(&row.distance[..visible]);
                    out.extend(hidden.map(|_| top));
                }
                Part::Over => {
                    out.extend_from_slice(&row.over[..visible]);
                    out.extend(hidden.map(|(shifted, _)| row.max - shifted - top));
                }
                Part::IsMax => {
                    let winner = row.shifted[..visible].iter().position(|&s| s == row.max);
                    out.extend((0..scores.len()).map(|u| i64::from(Some(u) == winner)));
                }
                _ => return None,
            }
        }
        Some(out)
    }
}

/// Quantities of an argmax over groups of `x`, whose winners are given.
fn argmax_quantity(x: &[i64], winners: &[i64], part: Part) -> Option<Vec<i64>> {
    let width = x.len() / winners.len().max(1);
    let mut out = Vec::new();
    for (x, &winner) in x.chunks(width.max(1)).zip(winners) {
        let gaps = argmax::row(x).1;
        let below = |i: usize| i64::from((i as i64) < winner);
        match part {
            Part::Max => out.push(x.first().zip(gaps.first()).map_or(0, |(x, gap)| x + gap)),
            Part::Distance => out.extend(gaps),
            Part::IsMax => out.extend((0..width).map(|i| i64::from(i as i64 == winner))),
            Part::Below => out.extend((0..width).map(below)),
            Part::Excess => out.extend(gaps.iter().enumerate().map(|(i, gap)| gap - below(i))),
            _ => return None,
        }
    }
    Some(out)
}

fn no_such_part(node: &Node, part: Part) -> WitnessError {
    WitnessError::NoSuchPart { node: node.name.clone(), op: node.op.name(), part }
}
