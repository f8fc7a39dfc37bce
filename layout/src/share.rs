//! Which strips stand in the same lanes.
//!
//! A strip fills whole sets of lanes and leaves a rest, often a few slots of a set. Rests whose columns agree by name
//! share a set: its lanes hold the rows of one strip after those of another, a fixed column says which table a row is
//! looked up in, and columns that a strip lacks are 0 on its rows. Facts of one strip then hold on the rows of the other
//! too, so rests share a set only where such facts are among its own or say nothing about it.

use super::space::{ColumnForm, Strip, StripGate, Where};

/// Consecutive slots of a strip within a block.
#[derive(Clone, Debug)]
pub struct Member {
    /// Index of the strip.
    pub strip: usize,
    /// First slot of the strip.
    pub first: u32,
    /// Slots.
    pub len: u32,
    /// The block's column of each column of the strip.
    pub columns: Vec<usize>,
}

/// A lookup of a block.
#[derive(Clone, Debug)]
pub struct BlockLookup {
    /// Column of the key.
    pub a: usize,
    /// Column of the value.
    pub b: Option<usize>,
    /// Whether hidden rows are exempt.
    pub visible_only: bool,
    /// Table tag on the rows of each member.
    pub tags: Vec<u32>,
}

/// Strips, or rests of strips, one after the other in the same lanes.
#[derive(Clone, Debug)]
pub struct Block {
    /// What stands in it, in this order.
    pub members: Vec<Member>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Lookups.
    pub lookups: Vec<BlockLookup>,
    /// Gates, with the strip they come from in their name.
    pub gates: Vec<(String, StripGate)>,
    /// Column whose unused slots may hold raw cells.
    pub spare_raw: Option<usize>,
    /// Whether a slot is hidden from some token.
    hidden: bool,
}

impl Block {
    /// Slots in use in each column.
    pub fn len(&self) -> u32 {
        self.members.iter().map(|m| m.len).sum()
    }

    /// Sets of lanes.
    pub fn sets(&self, groups: u32) -> u32 {
        self.len().div_ceil(groups)
    }

    /// The members with the block's slot that each begins at.
    pub fn starts(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.members.iter().scan(0, |next, member| {
            *next += member.len;
            Some((*next - member.len, member))
        })
    }

    /// `(slot, n)` in the block: the first n tokens do not see the slot.
    pub fn hidden(&self, strips: &[Strip]) -> Vec<(u32, u32)> {
        let of = |(start, member): (u32, &Member)| {
            let (first, end) = (member.first, member.first + member.len);
            let here = strips[member.strip].hidden.iter().filter(move |(slot, _)| (first..end).contains(slot));
            here.map(move |&(slot, n)| (start + slot - first, n)).collect::<Vec<_>>()
        };
        self.starts().flat_map(of).collect()
    }

    /// The part of a strip from slot `first` on.
    fn of(index: usize, strip: &Strip, first: u32, len: u32) -> Block {
        let signature = &strip.signature;
        let lookups = signature.lookups.iter();
        let gates = signature.gates.iter().map(|gate| (signature.name.clone(), renumbered(gate, |column| column)));
        Block {
            members: vec![Member { strip: index, first, len, columns: (0..signature.columns.len()).collect() }],
            columns: signature.columns.clone(),
            lookups: lookups
                .map(|l| BlockLookup { a: l.a, b: l.b, visible_only: l.visible_only, tags: vec![l.tag] })
                .collect(),
            gates: gates.collect(),
            spare_raw: signature.spare_raw,
            hidden: strip.hidden.iter().any(|&(slot, n)| slot >= first && slot < first + len && n > 0),
        }
    }

    /// Both in one block, when the facts of each allow the other.
    fn join(&self, other: &Block) -> Option<Block> {
        if self.spare_raw.is_some() || other.spare_raw.is_some() {
            return None;
        }
        let mut columns = self.columns.clone();
        let map: Vec<usize> = other
            .columns
            .iter()
            .map(|name| {
                columns.iter().position(|own| own == name).unwrap_or_else(|| {
                    columns.push(name.clone());
                    columns.len() - 1
                })
            })
            .collect();
        let own = Side { block: self, has: (0..columns.len()).map(|c| c < self.columns.len()).collect() };
        let theirs = Side { block: other, has: (0..columns.len()).map(|c| map.contains(&c)).collect() };

        let mut pairs: Vec<(Option<BlockLookup>, Option<BlockLookup>)> =
            self.lookups.iter().map(|l| (Some(l.clone()), None)).collect();
        for lookup in &other.lookups {
            let lookup = BlockLookup { a: map[lookup.a], b: lookup.b.map(|b| map[b]), ..lookup.clone() };
            let fits = |mine: &Option<BlockLookup>| mine.as_ref().is_some_and(|mine| mine.a == lookup.a);
            match pairs.iter_mut().find(|(mine, theirs)| fits(mine) && theirs.is_none()) {
                Some(pair) => pair.1 = Some(lookup),
                None => pairs.push((None, Some(lookup))),
            }
        }
        let lookups: Option<Vec<_>> = pairs.into_iter().map(|(a, b)| joint_lookup(a, b, &own, &theirs)).collect();

        let mut gates = self.gates.clone();
        for (name, gate) in &other.gates {
            let gate = renumbered(gate, |column| map[column]);
            if !gates.iter().any(|(_, own)| same(own, &gate)) {
                gates.push((name.clone(), gate));
            }
        }
        let states = |side: &Side, map: &dyn Fn(usize) -> usize, gate: &StripGate| {
            side.block.gates.iter().any(|(_, g)| same(&renumbered(g, map), gate)) || side.is_vacuous(gate)
        };
        let fits = gates.iter().all(|(_, gate)| states(&own, &|c| c, gate) && states(&theirs, &|c| map[c], gate));

        let moved = other.members.iter().cloned().map(|mut member| {
            member.columns.iter_mut().for_each(|column| *column = map[*column]);
            member
        });
        let members = self.members.iter().cloned().chain(moved).collect();
        let hidden = self.hidden || other.hidden;
        fits.then_some(Block { members, columns, lookups: lookups?, gates, spare_raw: None, hidden })
    }
}

/// One of two blocks about to be joined, with the columns of the whole that it has.
struct Side<'b> {
    block: &'b Block,
    has: Vec<bool>,
}

impl Side<'_> {
    /// Whether the gate holds on all rows of this side whatever its cells are, given that columns it lacks are 0.
    fn is_vacuous(&self, gate: &StripGate) -> bool {
        let zero = |form: &ColumnForm| form.1 == 0 && form.0.iter().all(|&(column, _)| !self.has[column]);
        (gate.rows == Where::Hidden && !self.block.hidden) || (zero(&gate.c) && (zero(&gate.a) || zero(&gate.b)))
    }
}

/// The lookup that says on the rows of each side what that side's own says, and nothing where it has none.
fn joint_lookup(
    mine: Option<BlockLookup>,
    other: Option<BlockLookup>,
    own: &Side,
    theirs: &Side,
) -> Option<BlockLookup> {
    let parts = [(&mine, own), (&other, theirs)];
    let some = mine.as_ref().or(other.as_ref())?;
    let value = parts.iter().find_map(|(lookup, _)| lookup.as_ref()?.b);
    let visible_only = parts.iter().any(|(lookup, _)| lookup.as_ref().is_some_and(|l| l.visible_only));
    let mut tags = Vec::new();
    for (lookup, side) in parts {
        match lookup {
            Some(l) if l.visible_only != visible_only && side.block.hidden => return None,
            Some(l) if l.b != value && value.is_some_and(|value| l.b.is_some() || side.has[value]) => return None,
            Some(l) => tags.extend(&l.tags),
            None if side.has[some.a] || value.is_some_and(|value| side.has[value]) => return None,
            None => tags.extend(side.block.members.iter().map(|_| 0)),
        }
    }
    Some(BlockLookup { a: some.a, b: value, visible_only, tags })
}

/// The gate over other columns, its terms in ascending order.
fn renumbered(gate: &StripGate, map: impl Fn(usize) -> usize) -> StripGate {
    let form = |(terms, constant): &ColumnForm| {
        let mut terms: Vec<_> = terms.iter().map(|&(column, coef)| (map(column), coef)).collect();
        terms.sort_unstable();
        (terms, *constant)
    };
    StripGate { name: gate.name, rows: gate.rows, a: form(&gate.a), b: form(&gate.b), c: form(&gate.c) }
}

/// Whether two gates say the same.
fn same(a: &StripGate, b: &StripGate) -> bool {
    (a.rows, &a.a, &a.b, &a.c) == (b.rows, &b.a, &b.b, &b.c)
}

/// The blocks of a layer's strips for lanes of `groups` slots: rests are joined, the pair that saves most lanes first,
/// until no pair saves any. Whole strips come before shared rests.
pub fn blocks(strips: &[Strip], groups: u32) -> Vec<Block> {
    let rest = |(i, strip): (usize, &Strip)| {
        let len = strip.len % groups;
        (len > 0).then(|| Block::of(i, strip, strip.len - len, len))
    };
    let mut rests: Vec<Block> = strips.iter().enumerate().filter_map(rest).collect();
    let lanes = |block: &Block| block.columns.len() as u32 * block.sets(groups);
    loop {
        let mut best: Option<(u32, usize, usize, Block)> = None;
        for i in 0..rests.len() {
            for j in i + 1..rests.len() {
                let Some(joint) = rests[i].join(&rests[j]) else { continue };
                let saved = (lanes(&rests[i]) + lanes(&rests[j])).saturating_sub(lanes(&joint));
                if saved > best.as_ref().map_or(0, |b| b.0) {
                    best = Some((saved, i, j, joint));
                }
            }
        }
        let Some((_, i, j, joint)) = best else { break };
        rests.remove(j);
        rests[i] = joint;
    }
    rests.retain(|block| block.members.len() > 1);
    let shared = |i: usize| rests.iter().flat_map(|b| &b.members).any(|m| m.strip == i);
    let own = strips.iter().enumerate().filter_map(|(i, strip)| {
        let len = if shared(i) { strip.len - strip.len % groups } else { strip.len };
        (len > 0).then(|| Block::of(i, strip, 0, len))
    });
    own.collect::<Vec<_>>().into_iter().chain(rests).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Signature, StripLookup, column, constant};

    const KEY: StripLookup = StripLookup { a: 0, b: Some(1), tag: 1, visible_only: false };
    const LIMB: StripLookup = StripLookup { a: 2, b: None, tag: 0, visible_only: false };

    fn strip(columns: &[&str], lookups: Vec<StripLookup>, gates: Vec<StripGate>, len: u32) -> Strip {
        let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
        let spaces = (0..columns.len() as u32).collect();
        let signature = Signature { name: "strip".into(), columns, lookups, gates, spare_raw: None };
        Strip { signature, columns: spaces, len, hidden: Vec::new() }
    }

    fn gate(rows: Where, a: usize, b: ColumnForm) -> StripGate {
        StripGate { name: "gate", rows, a: column(a), b, c: constant(0) }
    }

    fn clamp(tag: u32, len: u32) -> Strip {
        let gates = vec![gate(Where::Everywhere, 2, (vec![(0, -1)], 63))];
        strip(&["key", "value", "over"], vec![StripLookup { tag, ..KEY }, LIMB], gates, len)
    }

    fn members(strips: &[Strip]) -> Vec<Vec<(usize, u32, u32)>> {
        let of = |block: &Block| block.members.iter().map(|m| (m.strip, m.first, m.len)).collect();
        blocks(strips, 10).iter().map(of).collect()
    }

    #[test]
    fn rests_share_a_set_when_lanes_are_saved() {
        assert_eq!(members(&[clamp(1, 4), clamp(2, 6)]), [vec![(0, 0, 4), (1, 0, 6)]]);
        assert_eq!(members(&[clamp(1, 4), clamp(2, 7)]), [vec![(0, 0, 4)], vec![(1, 0, 7)]]);
        assert_eq!(members(&[clamp(1, 23), clamp(2, 5)]), [vec![(0, 0, 20)], vec![(0, 20, 3), (1, 0, 5)]]);
        let shared = &blocks(&[clamp(1, 4), clamp(2, 6)], 10)[0];
        assert_eq!(shared.lookups.iter().map(|l| l.tags.clone()).collect::<Vec<_>>(), [vec![1, 2], vec![0, 0]]);
    }

    #[test]
    fn a_missing_column_is_zero() {
        let plain = strip(&["key", "value"], vec![StripLookup { tag: 3, ..KEY }], Vec::new(), 2);
        let range = strip(&["key"], vec![StripLookup { b: None, tag: 0, ..KEY }], Vec::new(), 2);
        let shared = &blocks(&[plain, clamp(1, 3), range], 10)[0];
        assert_eq!(shared.members.len(), 3);
        assert_eq!(shared.columns, ["key", "value", "over"]);
        let of = |column: usize| shared.lookups.iter().find(|l| l.a == column).unwrap();
        let tag_of = |lookup: &BlockLookup, strip: usize| {
            lookup.tags[shared.members.iter().position(|m| m.strip == strip).unwrap()]
        };
        assert_eq!([0, 1, 2].map(|strip| tag_of(of(0), strip)), [3, 1, 0]);
        assert_eq!([0, 1, 2].map(|strip| tag_of(of(2), strip)), [0, 0, 0]);
    }

    #[test]
    fn every_column_keeps_its_lookup() {
        let own = |name| strip(&["free", name], vec![StripLookup { a: 1, ..LIMB }], Vec::new(), 2);
        let shared = &blocks(&[own("x"), own("y")], 10)[0];
        assert_eq!(shared.columns, ["free", "x", "y"]);
        assert_eq!(shared.lookups.iter().map(|l| (l.a, l.b)).collect::<Vec<_>>(), [(1, None), (2, None)]);
    }

    #[test]
    fn facts_that_would_bind_the_other_keep_strips_apart() {
        let apart = |other: Strip| assert_eq!(blocks(&[clamp(1, 2), other], 10).len(), 2);
        let lookups = || vec![KEY, LIMB];
        let names = ["key", "value", "over"];
        apart(strip(&names, lookups(), vec![gate(Where::Everywhere, 2, constant(1))], 2));
        apart(strip(&names, lookups(), Vec::new(), 2));
        apart(strip(&names, lookups(), vec![gate(Where::Visible, 2, (vec![(0, -1)], 63))], 2));
        apart(strip(&names, vec![KEY], vec![gate(Where::Everywhere, 2, (vec![(0, -1)], 63))], 2));
        apart(strip(&["key", "over", "value"], lookups(), Vec::new(), 2));
        let range = StripLookup { b: None, tag: 0, ..KEY };
        apart(strip(&names[..2], vec![range], Vec::new(), 2));
        let valued = |name| strip(&["key", name], vec![KEY], Vec::new(), 2);
        assert_eq!(blocks(&[valued("value"), valued("another value")], 10).len(), 2, "one key has one value");
        let twice = vec![KEY, StripLookup { tag: 2, ..KEY }, LIMB];
        apart(strip(&names, twice, vec![gate(Where::Everywhere, 2, (vec![(0, -1)], 63))], 2));
        let mut masked = clamp(2, 2);
        masked.signature.lookups[1].visible_only = true;
        assert_eq!(blocks(&[clamp(1, 2), masked.clone()], 10).len(), 1, "nothing is hidden");
        let mut hidden = clamp(1, 2);
        hidden.hidden = vec![(1, 1)];
        assert_eq!(blocks(&[hidden.clone(), masked], 10).len(), 2, "hidden rows of the first are looked up");
        for both in [[hidden.clone(), clamp(2, 2)], [clamp(2, 2), hidden]] {
            let shared = blocks(&both, 10);
            assert!(shared.len() == 1 && shared[0].hidden, "one slot is hidden");
        }
        let five = StripGate { c: constant(5), ..gate(Where::Everywhere, 2, constant(1)) };
        let fives = strip(&names, lookups(), vec![five], 2);
        assert_eq!(blocks(&[fives, strip(&names[..2], vec![KEY], Vec::new(), 2)], 10).len(), 2, "0 is not 5");
    }
}
