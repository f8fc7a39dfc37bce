//! Forged winners of an argmax: beyond the features, unmarked, of equal features not the first.

use super::{Delta, Forger, Out};
use nanozk_ir::int::ops::argmax;
use nanozk_layout::Quantity;

impl Forger<'_> {
    /// The first feature of a group of a node's operand, and the group's values, with the noise on them.
    fn group(&self, id: usize, token: usize, group: usize) -> (usize, Vec<i64>) {
        let node = &self.net.model.shapes[0].nodes[id];
        let args: Vec<&[i64]> = (0..node.inputs.len()).map(|i| self.operand(id, i).1).collect();
        let features = self.operand(id, 0).0;
        let width = features / node.features as usize;
        let first = group * width;
        (first, argmax::sum(&args)[token * features + first..][..width].to_vec())
    }

    /// The node's winners with another one of a group.
    fn winners(&self, id: usize, token: usize, group: usize, winner: i64) -> Vec<i64> {
        let mut values = self.net.values[id].clone();
        values[token * self.net.model.shapes[0].nodes[id].features as usize + group] = winner;
        values
    }

    /// An index beyond the features is named the winner, with a maximum above all scores.
    pub(super) fn no_winner(&self, id: usize, token: usize, group: usize, out: Out) {
        let (first, row) = self.group(id, token, group);
        let values = self.winners(id, token, group, row.len() as i64);
        let each = (first..first + row.len()).flat_map(|i| {
            [
                (Quantity::Own(argmax::DISTANCE), token, i, 1),
                (Quantity::Own(argmax::BELOW), token, i, -1),
                (Quantity::Own(argmax::EXCESS), token, i, 2),
            ]
        });
        let deltas: Vec<Delta> = std::iter::once((Quantity::Own(argmax::MAX), token, group, 1)).chain(each).collect();
        self.complete("no winner", &format!("{id}, token {token}"), id, &values, &deltas, out);
    }

    /// Each other index named the winner without being marked, below a maximum that no score attains.
    pub(super) fn unmarked_winners(&self, id: usize, token: usize, group: usize, out: Out) {
        let (first, row) = self.group(id, token, group);
        let above =
            |i: usize| [(Quantity::Own(argmax::DISTANCE), token, i, 1), (Quantity::Own(argmax::EXCESS), token, i, 1)];
        for winner in 0..row.len() {
            let values = self.winners(id, token, group, winner as i64);
            let marks = [
                (Quantity::Own(argmax::MAX), token, group, 1),
                (Quantity::Own(argmax::IS_MAX), token, first + winner, -1),
            ];
            let deltas: Vec<Delta> = marks.into_iter().chain((first..first + row.len()).flat_map(above)).collect();
            self.complete("winner without its mark", &format!("{id}, token {token}"), id, &values, &deltas, out);
        }
    }

    /// The forged winner's score presented as the maximum.
    pub(super) fn other_maximum(&self, id: usize, token: usize, group: usize, winner: i64) -> Vec<Delta> {
        let (first, row) = self.group(id, token, group);
        let (Some(max), Some(score)) = (row.iter().max(), usize::try_from(winner).ok().and_then(|w| row.get(w))) else {
            return Vec::new();
        };
        let lower = score - max;
        let each = (first..first + row.len()).flat_map(|i| {
            [(Quantity::Own(argmax::DISTANCE), token, i, lower), (Quantity::Own(argmax::EXCESS), token, i, lower)]
        });
        std::iter::once((Quantity::Own(argmax::MAX), token, group, lower)).chain(each).collect()
    }

    /// Indices from some on are not counted as below the winner, or the last ones are.
    pub(super) fn miscounted(&self, id: usize, token: usize, group: usize, out: Out) {
        let (first, row) = self.group(id, token, group);
        let uncounted = |i: usize| {
            [(Quantity::Own(argmax::BELOW), token, first + i, -1), (Quantity::Own(argmax::EXCESS), token, first + i, 1)]
        };
        for last in 0..row.len() {
            let deltas: Vec<Delta> = (0..=last).flat_map(uncounted).collect();
            let what = format!("{id}, token {token}, index {last}");
            self.complete("index counted wrong", &what, id, &self.net.values[id], &deltas, out);
        }
        let winner = first + row.iter().position(|x| Some(x) == row.iter().max()).unwrap_or(0);
        let others = (first..first + row.len()).filter(|i| *i != winner);
        let above = others.flat_map(|i| {
            [(Quantity::Own(argmax::DISTANCE), token, i, 1), (Quantity::Own(argmax::EXCESS), token, i, 1)]
        });
        let deltas: Vec<Delta> = std::iter::once((Quantity::Own(argmax::MAX), token, group, 1)).chain(above).collect();
        self.complete("maximum above the winner", &format!("{id}"), id, &self.net.values[id], &deltas, out);
        for i in first..first + row.len() {
            let deltas = [(Quantity::Own(argmax::DISTANCE), token, i, 1), (Quantity::Own(argmax::EXCESS), token, i, 1)];
            self.complete(
                "distance of another maximum",
                &format!("{id} at {i}"),
                id,
                &self.net.values[id],
                &deltas,
                out,
            );
        }
        // Of equal features the first wins, as long as those before the winner are counted.
        let honest = row.iter().position(|x| Some(x) == row.iter().max()).unwrap_or(0);
        for winner in (honest + 1..row.len()).filter(|i| row[*i] == row[honest]) {
            let values = self.winners(id, token, group, winner as i64);
            let deltas: Vec<Delta> = (0..winner).flat_map(uncounted).collect();
            self.complete("later of equal winners", &format!("{id}, token {token}"), id, &values, &deltas, out);
        }
    }

    /// Of two equal maxima the first is marked twice and the second minus once, which gives an index before both.
    pub(super) fn doubled_winner(&self, id: usize, token: usize, group: usize, out: Out) {
        let (first, row) = self.group(id, token, group);
        let honest = row.iter().position(|x| Some(x) == row.iter().max()).unwrap_or(0);
        for second in (honest + 1..row.len()).filter(|i| row[*i] == row[honest]) {
            let index = 2 * honest as i64 - second as i64;
            // The witness marks the forged index, and counts what is below it.
            let unmarked = usize::try_from(index).ok().map(|i| (Quantity::Own(argmax::IS_MAX), token, first + i, -1));
            let marks = [
                (Quantity::Own(argmax::IS_MAX), token, first + honest, 2),
                (Quantity::Own(argmax::IS_MAX), token, first + second, -1),
            ];
            let counted = (0..second).map(|j| (j, i64::from((j as i64) < index), if j < honest { 1 } else { -1 }));
            let counts = counted.flat_map(|(j, known, below)| {
                [
                    (Quantity::Own(argmax::BELOW), token, first + j, below - known),
                    (Quantity::Own(argmax::EXCESS), token, first + j, known - below),
                ]
            });
            let deltas: Vec<Delta> = unmarked.into_iter().chain(marks).chain(counts).collect();
            let values = self.winners(id, token, group, index);
            self.complete("winner marked twice", &format!("{id}, token {token}"), id, &values, &deltas, out);
        }
    }
}
