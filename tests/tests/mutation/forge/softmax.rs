//! Forged softmax rows: shifts, maxima that no visible score attains, distances cut short, masks switched off.

use super::{Forger, Out};
use nanozk_ir::int::Op;
use nanozk_ir::int::ops::{self, attend, attend::groups};
use nanozk_layout::Quantity;

impl Forger<'_> {
    /// Forged maxima of one softmax row, and a mask switched off.
    pub(super) fn softmax(&self, id: usize, token: usize, group: usize, out: Out) {
        let Op::Attend(ops::Attend { ref keys, table, limbs, causal, .. }) = *self.op(id) else { return };
        let table = &self.net.model.layers[0].tables[table as usize];
        let top = table.len() as i64 - 1;
        let Some(features) = groups(keys).nth(group) else { return };
        let tokens = features.len();
        let visible = if causal { token + 1 } else { tokens };
        let start = token * self.net.model.shapes[0].nodes[id].features as usize + features.start;
        let honest = &self.net.values[id];
        let feature = |u: usize| features.start + u;
        let Some((scores, winner)) = self.scores(id, start, tokens, visible) else { return };
        let shift = limbs * self.net.model.limb_bits;
        let max = scores[winner];
        let distances: Vec<i64> = scores[..visible].iter().map(|s| max - s).collect();
        let what = format!("softmax {id}, token {token}, group {group}");

        // Beside small shifts, those that make a masked score the maximum.
        let mut shifts = vec![1, -1, 5];
        shifts.extend(scores[visible..].iter().map(|s| s - max).filter(|s| *s != 0));
        for shift in shifts {
            let mut values = honest.clone();
            let mut deltas = vec![(Quantity::Own(attend::MAX), token, group, shift)];
            for (u, d) in distances.iter().enumerate() {
                let moved = (d + shift).min(top);
                if let Some(e) = usize::try_from(moved).ok().and_then(|d| table.get(d)) {
                    values[start + u] = *e;
                }
                deltas.push((Quantity::Own(attend::DISTANCE), token, feature(u), moved - d.min(&top)));
                deltas.push((Quantity::Own(attend::OVER), token, feature(u), (d + shift - moved) - (d - d.min(&top))));
            }
            deltas.extend((visible..tokens).map(|u| (Quantity::Own(attend::OVER), token, feature(u), shift)));
            let mut push = |kind, deltas: &[_]| self.complete(kind, &what, id, &values, deltas, out);
            push("softmax shifted", &deltas);
            deltas.push((Quantity::Own(attend::IS_MAX), token, feature(winner), -1));
            push("maximum not attained", &deltas);
            for u in (0..tokens).filter(|u| *u != winner) {
                let mut moved = deltas.clone();
                moved.push((Quantity::Own(attend::IS_MAX), token, feature(u), 1));
                push(if u < visible { "maximum of another key" } else { "maximum of a masked key" }, &moved);
            }
        }
        for u in (0..visible).filter(|u| distances[*u] > 0) {
            for d in 0..distances[u].min(top) {
                let mut values = honest.clone();
                values[start + u] = table[d as usize];
                let moved = distances[u].min(top) - d;
                let deltas = vec![
                    (Quantity::Own(attend::DISTANCE), token, feature(u), -moved),
                    (Quantity::Own(attend::OVER), token, feature(u), moved),
                ];
                self.complete("distance cut short", &what, id, &values, &deltas, out);
            }
        }
        for u in 0..visible {
            let d = distances[u].min(top);
            let mut push = |kind, moved: i64, deltas: [(Quantity, i64); 2]| {
                let mut values = honest.clone();
                values[start + u] = table[moved as usize];
                let deltas = deltas.map(|(part, delta)| (part, token, feature(u), delta));
                self.complete(kind, &what, id, &values, &deltas, out);
            };
            for moved in [d + 1, d - 1].into_iter().filter(|m| (0..=top).contains(m)) {
                let made_up = (moved - d) << shift;
                push(
                    "distance with its remainder",
                    moved,
                    [(Quantity::Own(attend::DISTANCE), moved - d), (Quantity::Own(attend::REMAINDER), made_up)],
                );
            }
            for moved in [d + 1, top].into_iter().filter(|moved| (d + 1..=top).contains(moved)) {
                let deltas = [(Quantity::Own(attend::DISTANCE), moved - d), (Quantity::Own(attend::OVER), d - moved)];
                push("distance with a negative excess", moved, deltas);
            }
        }
        for u in (0..visible).filter(|u| *u != winner && distances[*u] == 0) {
            let deltas = [
                (Quantity::Own(attend::IS_MAX), token, feature(winner), 1),
                (Quantity::Own(attend::IS_MAX), token, feature(u), -1),
            ];
            self.complete("maximum marked twice", &what, id, honest, &deltas, out);
        }
        for u in visible..tokens {
            // The last one is the distance that needs nothing to absorb the score. Where the table gives 0 as the mask
            // does, the distance of a hidden pair may be either.
            for d in
                [0, 1, top - 1, max - scores[u]].into_iter().filter(|d| (0..top).contains(d) && table[*d as usize] != 0)
            {
                let mut values = honest.clone();
                values[start + u] = table[d as usize];
                let deltas = vec![
                    (Quantity::Own(attend::DISTANCE), token, feature(u), d - top),
                    (Quantity::Own(attend::OVER), token, feature(u), top - d),
                ];
                self.complete("mask switched off", &what, id, &values, &deltas, out);
            }
        }
    }

    /// Requantised scores of a group of `keys` keys, and the first visible one that is greatest.
    fn scores(&self, id: usize, start: usize, keys: usize, visible: usize) -> Option<(Vec<i64>, usize)> {
        let Op::Attend(ops::Attend { limbs, .. }) = *self.op(id) else { return None };
        let shift = limbs * self.net.model.limb_bits;
        let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
        let scores: Vec<i64> = self.operand(id, 0).1[start..start + keys].iter().map(|x| (x + half) >> shift).collect();
        let max = *scores[..visible].iter().max()?;
        let winner = scores[..visible].iter().position(|s| *s == max)?;
        Some((scores, winner))
    }
}
