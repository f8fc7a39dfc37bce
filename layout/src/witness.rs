//! The prover's lanes from the values of a layer's nodes.

use super::{Fill, Lowered, Quantity};
use nanozk_ir::int::ops::{Numbers, Port, Ports, Site};
use nanozk_ir::int::{Model, Node, Table, ValueId, interp};
use nanozk_plan::{Plan, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

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
    #[error("node '{node}' ({op}) has no quantity {quantity:?}")]
    NoSuchQuantity {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// The quantity.
        quantity: Quantity,
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
    let graph = interp::check_structure(model, layer).map_err(|_| WitnessError::Layer { layer })?;
    let data = &model.layers[layer];
    let tokens = model.tokens as usize;
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, node)| !is_output(node)) {
        let (found, expected) = (node_values.get(i).map_or(0, Vec::len), tokens * node.features as usize);
        if found != expected {
            return Err(WitnessError::Values { node: node.name.clone(), found, expected });
        }
    }
    let numbers = Numbers { weights: &[], tables: &data.tables, params: &data.params, inputs: &[] };
    let mut quantities = Quantities { numbers, node_values, own: HashMap::new() };
    let plan = &lowered.plan;
    let mut lanes = vec![vec![0i64; plan.geometry.rows()]; plan.lanes.len()];
    pad(plan, &data.tables, &mut lanes);
    for item in &lowered.fills {
        let node = graph.nodes.get(item.node as usize).ok_or(WitnessError::Layer { layer })?;
        let site = Site::new(model.tokens, model.limb_bits, graph, node, Ports::default());
        let values = quantities.of(&site, item.node, item.quantity);
        let values = values.filter(|values| fits(plan, item, values.len() / tokens)).ok_or_else(|| {
            let (node, op, quantity) = (node.name.clone(), node.op.name(), item.quantity);
            WitnessError::NoSuchQuantity { node, op, quantity }
        })?;
        write(plan, item, &site, &values, &mut lanes)?;
    }
    Ok(lanes)
}

fn is_output(node: &Node) -> bool {
    matches!(node.op.meaning().port(), Some(Port::Output(_)))
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

/// What cells hold, by node.
struct Quantities<'a> {
    numbers: Numbers<'a>,
    node_values: &'a [Vec<i64>],
    /// Those that nodes have beside their values.
    own: HashMap<ValueId, Vec<Vec<i64>>>,
}

impl Quantities<'_> {
    /// A quantity of a node, `[tokens, width]`, if it has it.
    fn of(&mut self, site: &Site, id: ValueId, quantity: Quantity) -> Option<Cow<'_, [i64]>> {
        let value = &self.node_values[id as usize];
        match quantity {
            Quantity::Value => Some(value.into()),
            Quantity::Square => Some(value.iter().map(|&v| v.wrapping_mul(v)).collect()),
            Quantity::Own(index) => {
                let own = self.own.entry(id).or_insert_with(|| {
                    let operand = |&id: &ValueId| self.node_values[id as usize].as_slice();
                    let args: Vec<&[i64]> = site.node.inputs.iter().map(operand).collect();
                    site.node.op.meaning().parts(site, &self.numbers, &args, value)
                });
                own.get(index as usize).map(Cow::from)
            }
        }
    }
}

/// Writes one fill into the lanes.
fn write(plan: &Plan, item: &Fill, site: &Site, quantity: &[i64], lanes: &mut [Vec<i64>]) -> Result<(), WitnessError> {
    let (width, op, bits) = (quantity.len() / site.tokens, site.node.op.meaning(), site.limb_bits);
    let is_free =
        |token, feature| matches!(item.quantity, Quantity::Own(part) if op.is_free(site, part, token, feature));
    for i in 0..item.count {
        let slot = item.slot + i;
        let lane = &mut lanes[(slot / plan.geometry.groups) as usize];
        let feature = (item.first + i) as usize;
        for token in 0..site.tokens {
            let value = quantity[token * width + feature].wrapping_add(item.add);
            let cell = &mut lane[plan.geometry.row(slot, token as u32)];
            *cell = match item.limb {
                None => value,
                // Any integer, in the first limb.
                Some((index, _)) if is_free(token, feature) => {
                    if index == 0 {
                        value
                    } else {
                        0
                    }
                }
                Some((index, limbs)) => limb(value, index, limbs, bits).ok_or_else(|| {
                    let (node, op, bits) = (site.node.name.clone(), site.node.op.name(), limbs * bits);
                    WitnessError::OutOfRange { node, op, token, feature, value, bits }
                })?,
            };
        }
    }
    Ok(())
}
