//! Weights that take less memory while they are not read.

use nanozk_ir::int::{
    Layer,
    packed::{pack, unpack},
};

/// A matrix, packed. Equal ones have equal bytes.
#[derive(PartialEq, Eq)]
pub(super) struct Parked {
    len: usize,
    bytes: Box<[u8]>,
}

impl Parked {
    /// Packs a matrix.
    pub fn new(matrix: &[i32]) -> Self {
        Parked { len: matrix.len(), bytes: pack(matrix.iter().map(|&w| w.into())).into() }
    }

    /// The matrix.
    pub fn matrix(&self) -> Vec<i32> {
        let matrix = unpack(&self.bytes, self.len as u64);
        debug_assert!(matrix.is_some(), "what was packed unpacks");
        matrix.unwrap_or_default()
    }
}

/// The weights of the layers of a model that waits.
pub(crate) struct ParkedWeights(pub(super) Vec<Vec<Parked>>);

impl ParkedWeights {
    /// Takes the weights out of `layers`.
    pub fn take(layers: &mut [Layer]) -> Self {
        let all = |layer: &mut Layer| layer.weights.drain(..).map(|matrix| Parked::new(&matrix)).collect();
        ParkedWeights(layers.iter_mut().map(all).collect())
    }

    /// Gives them back to the layers that they are of.
    pub fn give_back(self, layers: &mut [Layer]) {
        for (layer, parked) in layers.iter_mut().zip(self.0) {
            layer.weights = parked.into_iter().map(|matrix| matrix.matrix()).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_back() {
        let layer = |weights| Layer { weights, ..Layer::default() };
        let layers = [layer(vec![vec![1, -2, i32::MAX], Vec::new()]), layer(vec![(-500..500).collect()])];
        let mut parked = layers.clone();
        let weights = ParkedWeights::take(&mut parked);
        assert!(parked.iter().all(|layer| layer.weights.is_empty()));
        weights.give_back(&mut parked);
        assert_eq!(parked, layers);
    }
}
