//! Forged winners of an argmax: beyond the features, unmarked, of equal features not the first.

use super::{Delta, Forger, Out};
use nanozk_layout::Part;

impl Forger<'_> {
    /// An index beyond the features is named the winner, with a maximum above all scores.
    pub(super) fn no_winner(&self, id: usize, token: usize, out: Out) {
        let nodes = &self.net.model.shapes[0].nodes;
        let width = nodes[nodes[id].inputs[0] as usize].features as usize;
        let mut values = self.net.values[id].clone();
        values[token] = width as i64;
        let each = (0..width)
            .flat_map(|i| [(Part::Distance, token, i, 1), (Part::Below, token, i, -1), (Part::Excess, token, i, 2)]);
        let deltas: Vec<Delta> = std::iter::once((Part::Max, token, 0, 1)).chain(each).collect();
        self.complete("no winner", &format!("{id}, token {token}"), id, &values, &deltas, out);
    }

    /// Each other index named the winner without being marked, below a maximum that no score attains.
    pub(super) fn unmarked_winners(&self, id: usize, token: usize, out: Out) {
        let width = self.operand(id, 0).0;
        let above = |i: usize| [(Part::Distance, token, i, 1), (Part::Excess, token, i, 1)];
        for winner in 0..width {
            let mut values = self.net.values[id].clone();
            values[token] = winner as i64;
            let marks = [(Part::Max, token, 0, 1), (Part::IsMax, token, winner, -1)];
            let deltas: Vec<Delta> = marks.into_iter().chain((0..width).flat_map(above)).collect();
            self.complete("winner without its mark", &format!("{id}, token {token}"), id, &values, &deltas, out);
        }
    }

    /// The forged winner's score presented as the maximum.
    pub(super) fn other_maximum(&self, id: usize, token: usize, winner: i64) -> Vec<Delta> {
        let nodes = &self.net.model.shapes[0].nodes;
        let operand = nodes[id].inputs[0] as usize;
        let width = nodes[operand].features as usize;
        let row = &self.net.values[operand][token * width..(token + 1) * width];
        let (Some(max), Some(score)) = (row.iter().max(), usize::try_from(winner).ok().and_then(|w| row.get(w))) else {
            return Vec::new();
        };
        let lower = score - max;
        let each = (0..width).flat_map(|i| [(Part::Distance, token, i, lower), (Part::Excess, token, i, lower)]);
        std::iter::once((Part::Max, token, 0, lower)).chain(each).collect()
    }

    /// Indices from some on are not counted as below the winner, or the last ones are.
    pub(super) fn miscounted(&self, id: usize, token: usize, out: Out) {
        for last in 0..self.operand(id, 0).0 {
            let each = (0..=last).flat_map(|i| [(Part::Below, token, i, -1), (Part::Excess, token, i, 1)]);
            let deltas: Vec<Delta> = each.collect();
            let what = format!("{id}, token {token}, index {last}");
            self.complete("index counted wrong", &what, id, &self.net.values[id], &deltas, out);
        }
        // Of equal features the first wins, as long as those before the winner are counted.
        let row = self.operand(id, 0).1.chunks(self.operand(id, 0).0).nth(token).unwrap_or_default();
        let honest = self.net.values[id][token] as usize;
        for winner in (honest + 1..row.len()).filter(|i| row[*i] == row[honest]) {
            let mut values = self.net.values[id].clone();
            values[token] = winner as i64;
            let each = (0..winner).flat_map(|i| [(Part::Below, token, i, -1), (Part::Excess, token, i, 1)]);
            let deltas: Vec<Delta> = each.collect();
            self.complete("later of equal winners", &format!("{id}, token {token}"), id, &values, &deltas, out);
        }
    }
}
