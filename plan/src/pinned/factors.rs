//! What a claim's monomial can meet: the rows of A with that exponent of rho, and the rows of B that they multiply.

use super::state::State;
use crate::{Plan, SlotId, TokenWeight};
use std::collections::BTreeMap;
use std::ops::Range;

/// Slots that are awaited in a fixed order.
#[derive(Default)]
struct Awaited {
    slots: Vec<SlotId>,
    /// How many of them, from the first on, are known to be determined.
    determined: usize,
}

impl Awaited {
    fn are_determined(&mut self, state: &[State]) -> bool {
        let rest = &self.slots[self.determined..];
        self.determined += rest.iter().take_while(|slot| state[**slot as usize] == State::Determined).count();
        self.determined == self.slots.len()
    }
}

/// Rows of B that belong together, and what stands in them.
struct Block {
    /// Exponents of rho that its terms reach.
    span: u32,
    slots: Awaited,
}

/// A range of exponents of rho that rows of A reach with their rows of B.
struct Factor {
    rho: Range<u32>,
    /// What the rows of A are made of.
    slots: Awaited,
    /// The blocks that they meet.
    blocks: Vec<u32>,
}

/// The factors of all products of a plan.
pub struct Factors {
    blocks: Vec<Block>,
    factors: Vec<Factor>,
}

impl Factors {
    /// The factors of a plan.
    pub fn new(plan: &Plan) -> Self {
        // Block 0 stands for rows of B that are 0.
        let mut blocks = vec![Block { span: 1, slots: Awaited::default() }];
        let mut block_of = vec![0; plan.operand_rows() as usize];
        for tile in &plan.tiles {
            let parts = tile.outputs.div_ceil(plan.weight_columns.max(1));
            block_of[tile.row as usize..][..(tile.inputs * parts) as usize].fill(blocks.len());
            blocks.push(Block { span: plan.weight_columns, slots: Awaited::default() });
        }
        for functional in &plan.functionals {
            let rows = match functional.kind {
                TokenWeight::Eta => 1,
                TokenWeight::Row => plan.geometry.tokens as usize,
            };
            for entry in &functional.entries {
                let rows = &mut block_of[entry.row as usize..][..rows];
                if rows[0] == 0 {
                    rows.fill(blocks.len());
                    blocks.push(Block { span: 1, slots: Awaited::default() });
                }
                let block = &mut blocks[rows[0]];
                block.span = block.span.max(entry.rho + 1);
                block.slots.slots.push(entry.slot);
            }
        }
        for operand in &plan.right_operands {
            for i in 0..operand.count {
                let row = &mut block_of[(operand.row + i * operand.row_stride) as usize];
                if *row == 0 {
                    *row = blocks.len();
                    blocks.push(Block { span: 1, slots: Awaited::default() });
                }
                let block = &mut blocks[*row];
                block.span = block.span.max(operand.monomial.at(i).0 + 1);
                block.slots.slots.extend(operand.terms.iter().map(|t| t.at(i)));
            }
        }
        let mut index: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut factors: Vec<Factor> = Vec::new();
        for operand in &plan.operands {
            for i in 0..operand.count {
                let block = block_of[(operand.row + i * operand.row_stride) as usize];
                let first = operand.monomial.at(i).0;
                let rho = first..first + blocks[block].span;
                let factor = *index.entry((rho.start, rho.end)).or_insert_with(|| {
                    factors.push(Factor { rho, slots: Awaited::default(), blocks: Vec::new() });
                    factors.len() - 1
                });
                let Factor { slots, blocks, .. } = &mut factors[factor];
                slots.slots.extend(operand.terms.iter().map(|t| t.at(i)));
                if blocks.last() != Some(&(block as u32)) {
                    blocks.push(block as u32);
                }
            }
        }
        for Factor { slots: Awaited { slots, .. }, blocks, .. } in &mut factors {
            slots.sort_unstable();
            slots.dedup();
            blocks.sort_unstable();
            blocks.dedup();
        }
        Factors { blocks, factors }
    }

    /// Parts that [`Factors::open`] looks at.
    pub fn len(&self) -> usize {
        self.blocks.len() + self.factors.iter().map(|f| 1 + f.blocks.len()).sum::<usize>()
    }

    /// Ranges of exponents with a factor that is not determined.
    pub fn open(&mut self, state: &[State]) -> impl Iterator<Item = Range<u32>> {
        let ready: Vec<bool> = self.blocks.iter_mut().map(|block| block.slots.are_determined(state)).collect();
        self.factors.iter_mut().filter_map(move |factor| {
            let ready = factor.slots.are_determined(state) && factor.blocks.iter().all(|block| ready[*block as usize]);
            (!ready).then(|| factor.rho.clone())
        })
    }
}
