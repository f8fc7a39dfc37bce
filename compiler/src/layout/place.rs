//! Lanes, groups, rows and exponents for one geometry.

use super::emit::{CellFill, Emitted};
use super::error::LayoutError;
use super::expr::{Atom, Expr};
use super::fill::{Fill, Lowered};
use super::hidden::{Group, GroupShape, Product};
use super::merge::{self, Placed};
use super::space::{ETA, RANGE, RAW, ROW, SpaceKind, Strip, Where};
use nanozk_plan::{
    FixedColumn, FixedId, Functional, FunctionalEntry, Gate, Geometry, Lane, LaneId, Lookup, Plan, RowForm, SlotId,
    Tag, TokenWeight, WeightTile,
};

/// Why one geometry does not hold the layer.
pub enum PlaceError {
    /// Another geometry may do.
    Geometry(String),
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
    /// First lane and number of lane sets of each strip.
    strip_lanes: Vec<(LaneId, u32)>,
    /// Slots of strips' key columns that hold range cells.
    borrowed: Vec<bool>,
}

/// Unused slots of a strip's column.
struct Spare {
    strip: usize,
    slot: SlotId,
    len: u32,
    /// Whether using it costs a fixed column.
    costs: bool,
}

impl<'e> Placer<'e> {
    fn new(emitted: &'e Emitted, geometry: Geometry) -> Self {
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
            },
            segments: vec![Vec::new(); emitted.spaces.len()],
            public_first: Vec::new(),
            strip_lanes: Vec::new(),
            borrowed: vec![false; emitted.strips.len()],
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
        for strip in &self.emitted.strips {
            let lane = self.plan.lanes.len() as LaneId;
            for &column in &strip.columns {
                let first = self.lanes(&self.emitted.spaces[column as usize].name, strip.len, None);
                self.segments[column as usize].push((first, strip.len));
            }
            self.strip_lanes.push((lane, strip.len.div_ceil(self.groups())));
        }
    }

    /// The slots that a strip leaves unused in one column.
    fn spare(&self, strip: usize, column: usize, costs: bool) -> Option<Spare> {
        let (lane, sets) = self.strip_lanes[strip];
        let len = self.emitted.strips[strip].len;
        let slot = (lane + column as u32 * sets) * self.groups() + len;
        let len = sets * self.groups() - len;
        (len > 0).then_some(Spare { strip, slot, len, costs })
    }

    fn pools(&mut self) {
        let len = |space| self.emitted.spaces[space as usize].len;
        let strips = || self.emitted.strips.iter().enumerate();

        let raw_spares = strips().filter_map(|(i, s)| self.spare(i, s.signature.spare_raw?, false)).collect();
        let (borrowed, rest) = self.borrow(len(RAW), len(ETA) + len(ROW), raw_spares);
        self.segments[RAW as usize].extend(borrowed.iter().map(|spare| (spare.slot, spare.len)));
        let mut next = self.lanes("raw", len(ETA) + len(ROW) + rest, None);
        for (space, count) in [(ETA, len(ETA)), (ROW, len(ROW)), (RAW, rest)] {
            self.segments[space as usize].push((next, count));
            next += count;
        }

        let key_spare = |(i, strip): (usize, &Strip)| {
            let key = strip.signature.lookups.iter().find(|l| l.a == 0 && !l.visible_only)?;
            self.spare(i, 0, key.tag != 0)
        };
        let range_spares = strips().filter_map(key_spare).collect();
        let (borrowed, rest) = self.borrow(len(RANGE), 0, range_spares);
        for spare in &borrowed {
            self.segments[RANGE as usize].push((spare.slot, spare.len));
            self.borrowed[spare.strip] |= spare.costs;
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
        for (i, strip) in self.emitted.strips.iter().enumerate() {
            let (lane, sets) = self.strip_lanes[i];
            for set in 0..sets {
                let lane_of = |column: usize| lane + column as u32 * sets + set;
                let hidden = self.hidden_runs(strip, set);
                for lookup in &strip.signature.lookups {
                    let mask = (lookup.visible_only && !hidden.is_empty()).then(|| self.visible(&hidden));
                    let mixed = self.borrowed[i] && lookup.a == 0 && lookup.tag != 0 && set + 1 == sets;
                    let tag = if mixed {
                        let rows = (strip.len - set * self.groups()) * self.plan.geometry.tokens;
                        Tag::Fixed(self.fixed("table tag", vec![(0, rows, lookup.tag as i64)]))
                    } else {
                        Tag::Table(lookup.tag)
                    };
                    self.plan.lookups.push(Lookup { a: lane_of(lookup.a), b: lookup.b.map(lane_of), tag, mask });
                }
                for gate in &strip.signature.gates {
                    let selector = match gate.rows {
                        Where::Everywhere => None,
                        Where::Visible if hidden.is_empty() => None,
                        Where::Visible => Some(self.visible(&hidden)),
                        Where::Hidden if hidden.is_empty() => continue,
                        Where::Hidden => Some(self.fixed("hidden", hidden.clone())),
                    };
                    let form = |(terms, constant): &super::space::ColumnForm| RowForm {
                        terms: terms.iter().map(|&(column, coef)| (lane_of(column), coef)).collect(),
                        constant: *constant,
                    };
                    let name = format!("{}: {}", strip.signature.name, gate.name);
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

    /// Runs of rows of a lane set whose token does not see the slot.
    fn hidden_runs(&self, strip: &Strip, set: u32) -> Vec<(u32, u32, i64)> {
        let (groups, tokens) = (self.groups(), self.plan.geometry.tokens);
        let here = strip.hidden.iter().filter(|(slot, _)| slot / groups == set);
        let mut runs: Vec<(u32, u32, i64)> = Vec::new();
        for &(slot, n) in here {
            let start = slot % groups * tokens;
            match runs.last_mut() {
                Some(run) if run.0 + run.1 == start => run.1 += n,
                _ => runs.push((start, n, 1)),
            }
        }
        runs
    }

    fn visible(&mut self, hidden: &[(u32, u32, i64)]) -> FixedId {
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
        self.fixed("visible", runs)
    }

    fn fixed(&mut self, name: &str, runs: Vec<(u32, u32, i64)>) -> FixedId {
        if let Some(i) = self.plan.fixed.iter().position(|f| f.runs == runs) {
            return i as FixedId;
        }
        self.plan.fixed.push(FixedColumn { name: name.into(), runs });
        (self.plan.fixed.len() - 1) as FixedId
    }

    fn publics(&mut self) {
        let mut next = self.plan.lane_slots();
        for public in &self.plan.publics {
            self.public_first.push(next);
            next += self.plan.public_len(public);
        }
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

    fn placed(&self, expr: &Expr) -> Result<Vec<Placed>, LayoutError> {
        let term = |&(atom, coef): &(Atom, i128)| {
            let slot = match atom {
                Atom::Cell(space, index) => self.slot(space, index),
                Atom::Public(run, index) => self.public_first[run as usize] + index,
                Atom::Raw(..) => unreachable!("expressions are settled before they are placed"),
            };
            Ok((slot, i64::try_from(coef).map_err(|_| LayoutError::Coefficient { coef })?))
        };
        expr.terms().iter().map(term).collect()
    }

    fn linear(&mut self, columns: Option<u32>) -> Result<(), PlaceError> {
        let relations: Result<Vec<_>, _> = self.emitted.relations.iter().map(|e| self.placed(e)).collect();
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
            let terms = bound.as_ref().map(|expr| self.placed(expr)).transpose()?.unwrap_or_default();
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
                        let terms = self.placed(&input.scaled(*scale))?;
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
                            let terms = self.placed(&query[(head * heads.dim + c) as usize])?;
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
                            let terms = self.placed(&weights[(head * tokens + u) as usize])?;
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
        Lowered { plan: self.plan, fills }
    }

    /// The fill cut at the ends of segments.
    fn pieces(&self, fill: &CellFill) -> Vec<Fill> {
        let mut pieces: Vec<Fill> = Vec::new();
        for i in 0..fill.count {
            let slot = self.slot(fill.space, fill.index + i);
            match pieces.last_mut() {
                Some(last) if last.slot + last.count == slot => last.count += 1,
                _ => pieces.push(Fill {
                    slot,
                    count: 1,
                    node: fill.node,
                    part: fill.part,
                    first: fill.first + i,
                    add: fill.add,
                    limb: fill.limb,
                }),
            }
        }
        pieces
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

/// Whether `next` goes on where `last` ends.
fn continues(last: &Fill, next: &Fill) -> bool {
    last.slot + last.count == next.slot
        && last.first + last.count == next.first
        && (last.node, last.part, last.add, last.limb) == (next.node, next.part, next.add, next.limb)
}
