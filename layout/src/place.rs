//! Lanes, groups, rows and exponents for one geometry.

mod linear;

use super::emit::Emitted;
use super::error::{Excess, LayoutError};
use super::expr::{Atom, Expr, SpaceId};
use super::fill::{Fill, Lowered};
use super::merge::Placed;
use super::options::Choices;
use super::share::{Block, BlockLookup, blocks};
use super::space::{ETA, RANGE, RAW, ROW, SpaceKind, Where};
use nanozk_plan::{FixedColumn, FixedId, Gate, Geometry, Lane, LaneId, Lookup, Plan, RowForm, SlotId, Tag};

/// Why one geometry does not hold the layer.
pub enum PlaceError {
    /// Another geometry may do.
    Geometry(Excess),
    /// No geometry will do.
    Layout(LayoutError),
}

impl From<LayoutError> for PlaceError {
    fn from(error: LayoutError) -> Self {
        PlaceError::Layout(error)
    }
}

/// Consecutive indices of a space stand in consecutive slots of each segment `(first slot, slots)`.
type Segments = Vec<(SlotId, u32)>;

/// The plan and fills of a layer in one geometry.
pub fn place(emitted: &Emitted, geometry: Geometry, columns: Option<u32>) -> Result<Lowered, PlaceError> {
    let strips = emitted.strips.len() as u64;
    // Rests are joined pair by pair.
    emitted.budget.clone().charge(strips.saturating_pow(3) / 8)?;
    let mut placer = Placer::new(emitted, geometry);
    placer.boundaries();
    placer.strips();
    placer.pools();
    placer.lookups_and_gates();
    placer.publics();
    placer.linear(columns)?;
    Ok(placer.finish())
}

struct Placer<'e> {
    emitted: &'e Emitted,
    plan: Plan,
    segments: Vec<Segments>,
    /// First public slot of each run.
    public_first: Vec<SlotId>,
    /// Strips, and rests of strips that share lanes.
    blocks: Vec<Block>,
    /// First lane of each block.
    block_lanes: Vec<LaneId>,
    /// Blocks with range cells in unused slots of the key column.
    borrowed: Vec<bool>,
}

/// Unused slots of a block's column.
struct Spare {
    block: usize,
    slot: SlotId,
    len: u32,
    /// Whether using it costs a fixed column.
    costs: bool,
}

impl<'e> Placer<'e> {
    fn new(emitted: &'e Emitted, geometry: Geometry) -> Self {
        let blocks = blocks(&emitted.strips, geometry.groups);
        Placer {
            emitted,
            plan: Plan {
                geometry,
                lanes: Vec::new(),
                boundaries: emitted.boundaries.clone(),
                fixed: Vec::new(),
                gates: Vec::new(),
                lookups: Vec::new(),
                tables: emitted.tables,
                params: emitted.params,
                publics: emitted.publics.clone(),
                relations: Vec::new(),
                claims: Vec::new(),
                operands: Vec::new(),
                tiles: Vec::new(),
                weight_columns: 0,
                functionals: Vec::new(),
                right_operands: Vec::new(),
            },
            segments: vec![Vec::new(); emitted.spaces.len()],
            public_first: Vec::new(),
            block_lanes: Vec::new(),
            borrowed: vec![false; blocks.len()],
            blocks,
        }
    }

    fn groups(&self) -> u32 {
        self.plan.geometry.groups
    }

    /// New lanes for `slots` slots; the first slot.
    fn lanes(&mut self, name: &str, slots: u32, boundary: Option<nanozk_plan::Port>) -> SlotId {
        let first = self.plan.lane_slots();
        let count = slots.div_ceil(self.groups());
        for i in 0..count {
            let name = if count > 1 { format!("{name} {i}") } else { name.to_string() };
            self.plan.lanes.push(Lane { name, boundary });
        }
        first
    }

    fn boundaries(&mut self) {
        for (id, space) in self.emitted.spaces.iter().enumerate() {
            if let SpaceKind::Boundary(port) = space.kind {
                let first = self.lanes(&space.name, space.len, Some(port));
                self.segments[id].push((first, space.len));
                let lanes = (first / self.groups()..self.plan.lanes.len() as u32).collect();
                if let Some(boundary) = self.plan.boundaries.iter_mut().find(|b| b.port == port) {
                    boundary.lanes = lanes;
                }
            }
        }
    }

    fn strips(&mut self) {
        for block in self.blocks.clone() {
            self.block_lanes.push(self.plan.lanes.len() as LaneId);
            let name = &self.emitted.strips[block.members[0].strip].signature.name;
            let name = match block.members.len() {
                1 => name.clone(),
                n => format!("{name} and {} more:", n - 1),
            };
            for (column, title) in block.columns.iter().enumerate() {
                let first = self.lanes(&format!("{name} {title}"), block.len(), None);
                for (start, member) in block.starts() {
                    if let Some(own) = member.columns.iter().position(|&c| c == column) {
                        let space = self.emitted.strips[member.strip].columns[own];
                        self.segments[space as usize].push((first + start, member.len));
                    }
                }
            }
        }
    }

    /// The lane of a block's column in one of its sets.
    fn lane_of(&self, block: usize, set: u32, column: usize) -> LaneId {
        self.block_lanes[block] + column as u32 * self.blocks[block].sets(self.groups()) + set
    }

    /// The slots that a block leaves unused in one column.
    fn spare(&self, block: usize, column: usize, costs: bool) -> Option<Spare> {
        let (len, sets) = (self.blocks[block].len(), self.blocks[block].sets(self.groups()));
        let slot = self.lane_of(block, 0, column) * self.groups() + len;
        let len = sets * self.groups() - len;
        (len > 0).then_some(Spare { block, slot, len, costs })
    }

    fn pools(&mut self) {
        let spaces = &self.emitted.spaces;
        let len = |space| spaces[space as usize].len;

        let raw_spare = |(i, block): (usize, &Block)| self.spare(i, block.spare_raw?, false);
        let raw_spares = self.blocks.iter().enumerate().filter_map(raw_spare).collect();
        let (borrowed, rest) = self.borrow(len(RAW), len(ETA) + len(ROW), raw_spares);
        self.segments[RAW as usize].extend(borrowed.iter().map(|spare| (spare.slot, spare.len)));
        let mut next = self.lanes("raw", len(ETA) + len(ROW) + rest, None);
        for (space, count) in [(ETA, len(ETA)), (ROW, len(ROW)), (RAW, rest)] {
            self.segments[space as usize].push((next, count));
            next += count;
        }

        let key_spare = |(i, block): (usize, &Block)| {
            let key = block.lookups.iter().find(|l| l.a == 0 && !l.visible_only)?;
            let tags = self.tags(block, key, block.sets(self.groups()) - 1);
            self.spare(i, 0, tags.len() == 1 && tags[0].2 != 0)
        };
        let range_spares = self.blocks.iter().enumerate().filter_map(key_spare).collect();
        let (borrowed, rest) = self.borrow(len(RANGE), 0, range_spares);
        for spare in &borrowed {
            self.segments[RANGE as usize].push((spare.slot, spare.len));
            self.borrowed[spare.block] |= spare.costs;
        }
        let first = self.lanes("range", rest, None);
        self.segments[RANGE as usize].push((first, rest));
    }

    /// Spares worth using for `len` cells that otherwise follow `before` cells in lanes of their own, and the cells
    /// left over. Spares that cost nothing come first; the others only when a lane is saved.
    fn borrow(&self, len: u32, before: u32, mut spares: Vec<Spare>) -> (Vec<Spare>, u32) {
        let lanes = |rest: u32| (before + rest).div_ceil(self.groups());
        spares.sort_by_key(|s| (s.costs, std::cmp::Reverse(s.len)));
        let room: u32 = spares.iter().map(|s| s.len).sum();
        let goal = lanes(len.saturating_sub(room));
        let mut rest = len;
        let mut used = Vec::new();
        for mut spare in spares {
            if lanes(rest) > goal {
                spare.len = spare.len.min(rest);
                rest -= spare.len;
                used.push(spare);
            }
        }
        (used, rest)
    }

    fn lookups_and_gates(&mut self) {
        for (i, block) in self.blocks.clone().iter().enumerate() {
            let slots = block.hidden(&self.emitted.strips);
            for set in 0..block.sets(self.groups()) {
                let hidden = self.hidden_runs(&slots, set);
                for lookup in &block.lookups {
                    let mask = (lookup.visible_only && !hidden.is_empty()).then(|| self.visible("looked up", &hidden));
                    let mut tags = self.tags(block, lookup, set);
                    let mixed = self.borrowed[i] && lookup.a == 0 && set + 1 == block.sets(self.groups());
                    let tag = if mixed || tags.len() > 1 {
                        tags.retain(|run| run.2 != 0);
                        Tag::Fixed(self.fixed("table tag", tags))
                    } else {
                        Tag::Table(tags[0].2 as u32)
                    };
                    let (a, b) = (self.lane_of(i, set, lookup.a), lookup.b.map(|b| self.lane_of(i, set, b)));
                    self.plan.lookups.push(Lookup { a, b, tag, mask });
                }
                for (strip, gate) in &block.gates {
                    let selector = match gate.rows {
                        Where::Everywhere => None,
                        Where::Visible if hidden.is_empty() => None,
                        Where::Visible => Some(self.visible("visible", &hidden)),
                        Where::Hidden if hidden.is_empty() => continue,
                        Where::Hidden => Some(self.fixed("hidden", hidden.clone())),
                    };
                    let form = |(terms, constant): &super::space::ColumnForm| RowForm {
                        terms: terms.iter().map(|&(column, coef)| (self.lane_of(i, set, column), coef)).collect(),
                        constant: *constant,
                    };
                    let name = format!("{strip}: {}", gate.name);
                    let (a, b, c) = (form(&gate.a), form(&gate.b), form(&gate.c));
                    self.plan.gates.push(Gate { name, selector, a, b, c });
                }
            }
        }
        let groups = self.groups();
        let &(first, len) = self.segments[RANGE as usize].last().unwrap_or(&(0, 0));
        for lane in 0..len.div_ceil(groups) {
            let a = first / groups + lane;
            self.plan.lookups.push(Lookup { a, b: None, tag: Tag::Table(0), mask: None });
        }
    }

    /// Runs of rows of a block's set with the table they are looked up in; rows of neighbours with one table are one run.
    fn tags(&self, block: &Block, lookup: &BlockLookup, set: u32) -> Vec<(u32, u32, i64)> {
        let (groups, tokens) = (self.groups(), self.plan.geometry.tokens);
        let mut runs: Vec<(u32, u32, i64)> = Vec::new();
        for ((start, member), &tag) in block.starts().zip(&lookup.tags) {
            let from = start.max(set * groups);
            let to = (start + member.len).min((set + 1) * groups);
            let rows = to.saturating_sub(from) * tokens;
            match runs.last_mut() {
                Some(run) if run.2 == tag as i64 => run.1 += rows,
                _ if rows > 0 => runs.push(((from - set * groups) * tokens, rows, tag as i64)),
                _ => {}
            }
        }
        runs
    }

    /// Runs of rows of a set whose token does not see the slot.
    fn hidden_runs(&self, slots: &[(u32, u32)], set: u32) -> Vec<(u32, u32, i64)> {
        let (groups, tokens) = (self.groups(), self.plan.geometry.tokens);
        let mut runs: Vec<(u32, u32, i64)> = Vec::new();
        for &(slot, n) in slots.iter().filter(|(slot, _)| slot / groups == set) {
            let start = slot % groups * tokens;
            match runs.last_mut() {
                Some(run) if run.0 + run.1 == start => run.1 += n,
                _ => runs.push((start, n, 1)),
            }
        }
        runs
    }

    fn visible(&mut self, name: &str, hidden: &[(u32, u32, i64)]) -> FixedId {
        let mut runs = Vec::new();
        let mut start = 0;
        for &(next, len, _) in hidden {
            if next > start {
                runs.push((start, next - start, 1));
            }
            start = next + len;
        }
        let rows = self.plan.geometry.rows() as u32;
        if rows > start {
            runs.push((start, rows - start, 1));
        }
        self.fixed(name, runs)
    }

    /// The fixed column for one purpose: lookups' masks are 1 on the mask rows too, selectors and tags are 0 there.
    fn fixed(&mut self, name: &str, runs: Vec<(u32, u32, i64)>) -> FixedId {
        if let Some(i) = self.plan.fixed.iter().position(|f| f.name == name && f.runs == runs) {
            return i as FixedId;
        }
        self.plan.fixed.push(FixedColumn { name: name.into(), runs });
        (self.plan.fixed.len() - 1) as FixedId
    }

    fn publics(&mut self) {
        self.public_first = self.plan.public_runs().map(|(first, _)| first).collect();
    }

    fn slot(&self, space: u32, index: u32) -> SlotId {
        let mut offset = index;
        for &(first, len) in &self.segments[space as usize] {
            if offset < len {
                return first + offset;
            }
            offset -= len;
        }
        unreachable!("index {index} beyond the segments of space {space}")
    }

    /// The terms of `scale * expr`.
    fn placed(&self, expr: &Expr, scale: i128) -> Result<Vec<Placed>, LayoutError> {
        if expr.overflows() {
            return Err(LayoutError::Coefficient);
        }
        let term = |&(atom, coef): &(Atom, i128)| {
            let slot = match atom {
                Atom::Cell(space, index) => self.slot(space, index),
                Atom::Public(run, index) => self.public_first[run as usize] + index,
                Atom::Raw(..) => unreachable!("expressions are settled before they are placed"),
            };
            let coef = coef.checked_mul(scale).and_then(|coef| i64::try_from(coef).ok());
            Ok((slot, coef.ok_or(LayoutError::Coefficient)?))
        };
        expr.terms().iter().map(term).collect()
    }

    fn finish(self) -> Lowered {
        let mut fills: Vec<Fill> = Vec::new();
        for fill in &self.emitted.fills {
            for piece in self.pieces(fill) {
                match fills.last_mut() {
                    Some(last) if continues(last, &piece) => last.count += piece.count,
                    _ => fills.push(piece),
                }
            }
        }
        let choices = Choices {
            k: self.plan.geometry.k,
            squares: self.emitted.squares,
            weight_columns: self.plan.weight_columns,
        };
        Lowered { choices, plan: self.plan, fills }
    }

    /// The fill cut at the ends of segments.
    fn pieces(&self, fill: &Fill<(SpaceId, u32)>) -> Vec<Fill> {
        let mut pieces: Vec<Fill> = Vec::new();
        let (space, index) = fill.slot;
        for i in 0..fill.count {
            let slot = self.slot(space, index + i);
            match pieces.last_mut() {
                Some(last) if last.slot + last.count == slot => last.count += 1,
                _ => pieces.push(Fill {
                    slot,
                    count: 1,
                    node: fill.node,
                    quantity: fill.quantity,
                    first: fill.first + i,
                    add: fill.add,
                    limb: fill.limb,
                }),
            }
        }
        pieces
    }
}

/// Whether `next` goes on where `last` ends.
fn continues(last: &Fill, next: &Fill) -> bool {
    last.slot + last.count == next.slot
        && last.first + last.count == next.first
        && (last.node, last.quantity, last.add, last.limb) == (next.node, next.quantity, next.add, next.limb)
}
