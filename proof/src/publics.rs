//! Compressed values of public slots, computed by prover and verifier alike.

use crate::{
    challenges::Challenges,
    field::{Fr, IntegerDot, int, powers},
};
use ff::Field;
use nanozk_plan::{Plan, Port, Public};

/// The public data of one layer.
#[derive(Clone, Copy, Debug)]
pub struct PublicData<'a> {
    /// The layer's parameters.
    pub params: &'a [i64],
    /// Public tensors by input port, row-major `[tokens, features]`; `None` where the tensor is committed.
    pub inputs: &'a [Option<&'a [i64]>],
    /// Public tensors by output port.
    pub outputs: &'a [Option<&'a [i64]>],
}

impl PublicData<'_> {
    fn tensor(&self, port: Port) -> Option<&[i64]> {
        match port {
            Port::Input(p) => self.inputs.get(p as usize).copied().flatten(),
            Port::Output(p) => self.outputs.get(p as usize).copied().flatten(),
        }
    }
}

/// Compressed values of all public slots in order; `None` when the data does not match the plan (a missing tensor, a
/// wrong length, a token id outside the vocabulary).
pub fn public_values(plan: &Plan, data: &PublicData, ch: &Challenges) -> Option<Vec<Fr>> {
    let tokens = plan.geometry.tokens as usize;
    let mut weights = powers(ch.theta, tokens);
    weights.reverse();
    let one: Fr = weights.iter().sum();
    let mut out = Vec::new();
    for public in &plan.publics {
        match public {
            Public::One => out.push(one),
            Public::Param { first, count } => {
                let params = data.params.get(*first as usize..(*first as usize).checked_add(*count as usize)?)?;
                out.extend(params.iter().map(|p| int(*p) * one));
            }
            Public::Position => out.extend_from_slice(&weights),
            Public::OneHot { port, feature, count } => {
                let features = plan.boundaries.iter().find(|b| b.port == *port)?.features as usize;
                let ids = data.tensor(*port).filter(|t| t.len() == tokens * features)?;
                let ids = ids.get(*feature as usize..)?.iter().step_by(features);
                let mut slots = vec![Fr::ZERO; *count as usize];
                for (id, w) in ids.zip(&weights) {
                    *slots.get_mut(usize::try_from(*id).ok()?)? += w;
                }
                out.extend(slots);
            }
            Public::Const { rows: 1, data, .. } => out.extend(data.iter().map(|c| int(*c) * one)),
            Public::Const { features, data, .. } => out.extend(compress(data, *features as usize, &weights)?),
            Public::Tensor { port, features } => {
                out.extend(compress(data.tensor(*port)?, *features as usize, &weights)?)
            }
        }
    }
    Some(out)
}

/// `sum_t weights[t] data[t, f]` for each feature f.
fn compress(data: &[i64], features: usize, weights: &[Fr]) -> Option<Vec<Fr>> {
    if data.len() != features * weights.len() {
        return None;
    }
    let weights = IntegerDot::new(weights);
    Some((0..features).map(|f| weights.sum(data[f..].iter().step_by(features).copied())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_for_each_token_and_feature() {
        let weights = [2, 3].map(Fr::from);
        assert_eq!(compress(&[1, 10, 100, 1000], 2, &weights), Some([302, 3020].map(Fr::from).into()));
        assert_eq!(compress(&[1, 10, 100], 2, &weights), None);
        assert_eq!(compress(&[1, 10, 100, 1000, 1], 2, &weights), None);
    }
}
