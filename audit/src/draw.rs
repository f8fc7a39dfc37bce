//! The draw: integers and a hash, so that every machine draws the same layers from a seed.

use crate::design::{Design, UNIT};

/// Numbers of 64 bits from a seed: BLAKE2b-512 of the seed and a counter of 8 bytes, little endian, eight for each hash.
struct Words<'a> {
    seed: &'a [u8; 32],
    counter: u64,
    block: Vec<u64>,
}

impl Words<'_> {
    fn next(&mut self) -> u64 {
        if self.block.is_empty() {
            let mut state = blake2b_simd::Params::new().personal(b"nanozk-draw").to_state();
            let hash = state.update(self.seed).update(&self.counter.to_le_bytes()).finalize();
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            // The last is taken first.
            self.block = hash.as_bytes().chunks(8).rev().map(word).collect();
            self.counter += 1;
        }
        self.block.pop().unwrap_or_default()
    }

    /// A uniform number below `bound`: the first word below the greatest multiple of it, reduced.
    fn below(&mut self, bound: u64) -> u64 {
        let multiples = u64::MAX / bound * bound;
        loop {
            match self.next() {
                word if word < multiples => return word % bound,
                _ => continue,
            }
        }
    }
}

impl Design {
    /// The layers drawn from `seed`, ascending.
    ///
    /// A round takes one open layer i, with probability p_i / k, and then each open layer j by itself with probability
    /// p_j. It ends the draw when the latter are k - 1 and i is not among them; else it is forgotten. A set s then comes
    /// from i in s with a probability in proportion to `p_i (1 - p_i) prod_{j in s, j != i} p_j prod_{j not in s} (1 - p_j)`,
    /// which is Sampford's.
    pub fn draw(&self, seed: &[u8; 32]) -> Vec<u32> {
        let mut words = Words { seed, counter: 0, block: Vec::new() };
        let mut chosen: Vec<usize> = Vec::new();
        while !self.open.is_empty() && chosen.is_empty() {
            let mut at = words.below(self.left() as u64 * UNIT);
            let mut first = self.open[0];
            for &layer in &self.open {
                first = layer;
                match at.checked_sub(self.inclusion()[layer]) {
                    Some(rest) => at = rest,
                    None => break,
                }
            }
            let others: Vec<usize> =
                self.open.iter().copied().filter(|&layer| words.next() >> 32 < self.inclusion()[layer]).collect();
            if others.len() + 1 == self.left() && !others.contains(&first) {
                chosen = others;
                chosen.push(first);
            }
        }
        let pinned = (0..self.layers()).filter(|&layer| self.inclusion()[layer] == UNIT);
        let mut layers: Vec<u32> = pinned.chain(chosen).map(|layer| layer as u32).collect();
        layers.sort_unstable();
        layers
    }
}
