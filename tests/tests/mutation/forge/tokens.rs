//! Forged one-hot cells of hidden token ids, and ids beyond the vocabulary.

use super::{Delta, Forger, Out};
use crate::cells::Change;
use group::ff::Field;
use nanozk_ir::int::Op;
use nanozk_ir::int::ops::{self, embed};
use nanozk_layout::Quantity;
use nanozk_plan::SlotId;
use nanozk_proof::field::{Fr, int};

/// One id of an embedding.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The embedding.
    pub id: usize,
    pub token: usize,
    /// Feature of the operand.
    pub position: usize,
    /// The table.
    pub weight: usize,
    /// Rows of the table.
    pub vocab: usize,
}

impl Place {
    /// Feature of the one-hot cells that says whether the id is `index`.
    fn cell(&self, index: usize) -> usize {
        self.position * self.vocab + index
    }
}

impl Forger<'_> {
    /// All forgeries of one id of an embedding whose ids are hidden.
    pub(super) fn tokens(&self, place: Place, out: Out) {
        let Place { id, token, position, vocab, .. } = place;
        if self.slots_of(id, Quantity::Own(embed::IS_ID), 0).next().is_none() {
            return;
        }
        let (positions, ids) = self.operand(id, 0);
        let committed = ids[token * positions + position];
        let at = committed as usize;
        let (v, last) = (committed, vocab as i64 - 1);
        let mut push = |kind, ones: &[(i64, i64)]| self.one_hot(kind, place, ones, out);
        push("no token", &[]);
        for other in (0..=last).filter(|u| *u != v) {
            push("another token", &[(other, 1)]);
            push("two tokens", &[(v, 1), (other, 1)]);
            let rest = v - other;
            if rest > other {
                push("two tokens whose ids add up", &[(other, 1), (rest, 1)]);
            }
            let mirrored = 2 * other - v;
            if (0..=last).contains(&mirrored) {
                push("twice a token less another", &[(other, 2), (mirrored, -1)]);
            }
            if other > 0 && v % other == 0 {
                push("a multiple of a lower token", &[(other, v / other)]);
            }
        }
        push("the token twice", &[(v, 2)]);
        push("the token negated", &[(v, -1)]);

        let mut split = |what, cells: &[(usize, Fr)]| self.fractions(what, place, at, cells, out);
        let half = Fr::from(2).invert().unwrap();
        for (low, high) in (1..vocab).map(|d| (at.wrapping_sub(d), at + d)).filter(|(l, h)| *l < at && *h < vocab) {
            split("two halves of tokens", &[(low, half), (high, half)]);
        }
        for other in (1..vocab).filter(|u| *u != at) {
            let share = int(v) * Fr::from(other as u64).invert().unwrap();
            split("a share of a token with the rest of the first", &[(other, share), (0, Fr::ONE - share)]);
        }

        for beyond in [vocab as i64, -1, i64::from(u32::MAX)] {
            let mut inputs = self.net.inputs.clone();
            let Op::Input(ops::Input { port }) = self.op(self.net.model.shapes[0].nodes[id].inputs[0] as usize) else {
                return;
            };
            inputs[*port as usize][token * positions + position] = beyond;
            let inputs: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
            for ones in [vec![], vec![(v, 1)], vec![(last, 1), (beyond - last, 1)]] {
                let ones: Vec<(i64, i64)> = ones.into_iter().filter(|o| (0..=last).contains(&o.0)).collect();
                let (values, mut deltas) = self.embedded(place, &ones);
                // The id names no cell, so the honest witness holds no 1.
                deltas.retain(|d| d.2 != place.cell(at));
                deltas.extend(
                    ones.iter().filter(|o| o.0 == v).map(|o| (Quantity::Own(embed::IS_ID), token, place.cell(at), o.1)),
                );
                let what = format!("token {token}: {beyond}");
                self.complete_with(&inputs, "id out of the vocabulary", &what, id, &values, &deltas, out);
            }
        }
    }

    /// The given cells `(index, value)` in place of the one 1, with the embedding that they give.
    fn one_hot(&self, kind: &'static str, place: Place, ones: &[(i64, i64)], out: Out) {
        let (values, deltas) = self.embedded(place, ones);
        self.complete(kind, &format!("token {}: {ones:?}", place.token), place.id, &values, &deltas, out);
    }

    /// The embedding of forged one-hot cells, and how they differ from the honest ones.
    fn embedded(&self, place: Place, ones: &[(i64, i64)]) -> (Vec<i64>, Vec<Delta>) {
        let (positions, ids) = self.operand(place.id, 0);
        let row = place.token * positions + place.position;
        let width = self.net.model.shapes[0].nodes[place.id].features as usize / positions;
        let table = &self.net.model.layers[0].weights[place.weight];
        let mut values = self.net.values[place.id].clone();
        for (j, value) in values[row * width..(row + 1) * width].iter_mut().enumerate() {
            *value = ones.iter().map(|&(i, times)| times * i64::from(table[i as usize * width + j])).sum();
        }
        let delta =
            |&(i, times): &(i64, i64)| (Quantity::Own(embed::IS_ID), place.token, place.cell(i as usize), times);
        (values, ones.iter().chain([&(ids[row], -1)]).map(delta).collect())
    }

    /// Field elements in the one-hot cells; no integer embedding follows from them, so the rest stays honest.
    fn fractions(&self, kind: &'static str, place: Place, honest: usize, ones: &[(usize, Fr)], out: Out) {
        let cells = std::iter::once((honest, Fr::ZERO)).chain(ones.iter().copied());
        let change = |(index, value): (usize, Fr)| {
            let slot: SlotId =
                self.slots_of(place.id, Quantity::Own(embed::IS_ID), place.cell(index) as u32).next().unwrap().0;
            Change { slot, token: place.token as u32, value }
        };
        let what = format!("token {}: {:?}", place.token, ones.iter().map(|o| o.0).collect::<Vec<_>>());
        self.honest_but(kind, &what, cells.map(change).collect(), out);
    }
}
