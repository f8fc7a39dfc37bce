//! A challenge: the layers that a verifier drew for one commitment.

use crate::design::Design;
use crate::digest::Digest;
use crate::policy::{Policy, PolicyError};
use serde::{Deserialize, Serialize};

/// Version of the file.
pub const VERSION: u32 = 1;

/// Least and greatest length of the random value in bytes.
const VALUE: std::ops::RangeInclusive<usize> = 16..=1024;

/// Where the randomness of a draw comes from, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase", deny_unknown_fields)]
pub enum Randomness {
    /// The verifier's operating system: it convinces this verifier alone.
    System {
        /// The value.
        #[serde(with = "hex")]
        value: Vec<u8>,
    },
    /// A public beacon. It convinces everyone who knows that the commitment was received before the value existed.
    Beacon {
        /// Which one, and which of its values.
        name: String,
        /// The value.
        #[serde(with = "hex")]
        value: Vec<u8>,
    },
}

impl Randomness {
    fn value(&self) -> &[u8] {
        let (Randomness::System { value } | Randomness::Beacon { value, .. }) = self;
        value
    }
}

impl std::fmt::Display for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Randomness::System { .. } => f.write_str("the randomness of the verifier's system"),
            Randomness::Beacon { name, .. } => write!(f, "the beacon `{name}`"),
        }
    }
}

/// The proof that answered a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Hash of the proof file.
    pub proof: Digest,
    /// When it was verified, in seconds since 1970.
    pub at: u64,
}

/// The layers that a verifier drew for one commitment, with all that the draw rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the model.
    pub model_id: Digest,
    /// Hash of the commitment: over model, nonce, length, answer, public values and the commitments of all tensors.
    pub commitment: Digest,
    /// What was drawn from.
    pub randomness: Randomness,
    /// When it was drawn, in seconds since 1970.
    pub drawn_at: u64,
    /// How it was drawn.
    pub policy: Policy,
    /// The layers drawn, ascending: they follow from the rest.
    pub layers: Vec<u32>,
    /// The proof that answered it; absent until one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
}

/// Why a challenge cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// Of another version.
    #[error("a challenge of version {0}, this binary reads {VERSION}; draw it again with `nanozk challenge`")]
    Version(u32),
    /// A policy that cannot be drawn by.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A policy of another model.
    #[error("the policy is of model {policy}, not {model}; make one with `nanozk audit plan`")]
    Model {
        /// Of the policy.
        policy: String,
        /// Of the challenge.
        model: String,
    },
    /// A value that could be guessed, or a long one.
    #[error("a random value of {length} bytes, not of {} to {}; use the whole value of the beacon", VALUE.start(), VALUE.end())]
    Value {
        /// Its length.
        length: usize,
    },
    /// Other layers than follow from seed and policy.
    #[error("the layers {found:?} are not those drawn, {drawn:?}; draw the challenge again with `nanozk challenge`")]
    Layers {
        /// In the challenge.
        found: Vec<u32>,
        /// What its randomness and policy give.
        drawn: Vec<u32>,
    },
}

/// A challenge whose draw was recomputed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    model_id: [u8; 32],
    commitment: [u8; 32],
    layers: Vec<u32>,
    design: Design,
}

impl Drawn {
    /// Id of the model.
    pub fn model_id(&self) -> &[u8; 32] {
        &self.model_id
    }

    /// Hash of the commitment.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// The layers, ascending.
    pub fn layers(&self) -> &[u32] {
        &self.layers
    }

    /// How they were drawn.
    pub fn design(&self) -> &Design {
        &self.design
    }
}

impl Challenge {
    /// Draws the layers of a commitment.
    ///
    /// # Errors
    /// A policy that cannot be drawn by or is of another model, or a short random value.
    pub fn draw(
        model_id: Digest,
        commitment: Digest,
        policy: Policy,
        randomness: Randomness,
        drawn_at: u64,
    ) -> Result<Self, ChallengeError> {
        let (version, layers, used) = (VERSION, Vec::new(), None);
        let mut challenge = Challenge { version, model_id, commitment, randomness, drawn_at, policy, layers, used };
        challenge.layers = challenge.redraw()?.layers;
        Ok(challenge)
    }

    /// Recomputes the draw and compares it with the layers that the challenge names.
    ///
    /// # Errors
    /// As [`Challenge::draw`]; another version; other layers.
    pub fn check(&self) -> Result<Drawn, ChallengeError> {
        let drawn = self.redraw()?;
        match drawn.layers == self.layers {
            true => Ok(drawn),
            false => Err(ChallengeError::Layers { found: self.layers.clone(), drawn: drawn.layers }),
        }
    }

    /// What randomness, commitment and policy give.
    fn redraw(&self) -> Result<Drawn, ChallengeError> {
        if self.version != VERSION {
            return Err(ChallengeError::Version(self.version));
        }
        let length = self.randomness.value().len();
        if !VALUE.contains(&length) {
            return Err(ChallengeError::Value { length });
        }
        if let Some(policy) = self.policy.model_id.as_ref().filter(|id| **id != self.model_id) {
            return Err(ChallengeError::Model { policy: policy.to_string(), model: self.model_id.to_string() });
        }
        let design = self.policy.design()?;
        let layers = design.draw(&self.seed());
        Ok(Drawn { model_id: self.model_id.0, commitment: self.commitment.0, layers, design })
    }

    /// What the draw starts from: a hash over random value, commitment and policy. The commitment holds the model id.
    fn seed(&self) -> [u8; 32] {
        let mut state = blake2b_simd::Params::new().hash_length(32).personal(b"nanozk-audit").to_state();
        let value = self.randomness.value();
        state.update(&(value.len() as u64).to_le_bytes()).update(value);
        state.update(&self.commitment.0).update(&self.policy.digest());
        let mut seed = [0; 32];
        seed.copy_from_slice(state.finalize().as_bytes());
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UNIT, Weights, plan};

    fn challenge() -> Challenge {
        let design = plan(&[false; 8], 3, Weights::Uniform).unwrap();
        let policy = Policy::new(&design, Some(Digest([1; 32])));
        let value = vec![7; 32];
        Challenge::draw(Digest([1; 32]), Digest([2; 32]), policy, Randomness::System { value }, 5).unwrap()
    }

    #[test]
    fn a_draw_follows_from_randomness_commitment_and_policy() {
        let honest = challenge();
        assert_eq!(honest.check().unwrap().layers(), honest.layers);
        let name = "b".into();
        let beacon =
            Challenge { randomness: Randomness::Beacon { name, value: vec![7; 32] }, drawn_at: 6, ..honest.clone() };
        assert_eq!(beacon.check().unwrap(), honest.check().unwrap(), "words about the draw do not change it");
        let seed = honest.seed();
        let value = |value| Randomness::System { value };
        let mut others = vec![
            Challenge { randomness: value(vec![8; 32]), ..honest.clone() },
            Challenge { randomness: value(vec![7; 33]), ..honest.clone() },
            Challenge { commitment: Digest([3; 32]), ..honest.clone() },
        ];
        others.push(Challenge { policy: Policy { model_id: None, ..honest.policy.clone() }, ..honest.clone() });
        assert!(others.iter().all(|other| other.seed() != seed));
    }

    #[test]
    fn what_was_not_drawn_is_refused() {
        let honest = challenge();
        for other in (0..8).map(|first| vec![first, 6, 7]).filter(|layers| *layers != honest.layers) {
            let forged = Challenge { layers: other, ..honest.clone() };
            assert!(matches!(forged.check(), Err(ChallengeError::Layers { .. })));
        }
        let forged = Challenge { version: 2, ..honest.clone() };
        assert!(matches!(forged.check(), Err(ChallengeError::Version(2))));
        let forged = Challenge { model_id: Digest([3; 32]), ..honest.clone() };
        assert!(matches!(forged.check(), Err(ChallengeError::Model { .. })));
        let forged = Challenge { randomness: Randomness::System { value: vec![7; 15] }, ..honest.clone() };
        assert!(matches!(forged.check(), Err(ChallengeError::Value { length: 15 })));
        let policy = Policy { inclusion: vec![UNIT; 8], ..honest.policy.clone() };
        let forged = Challenge { policy, ..honest };
        assert!(matches!(forged.check(), Err(ChallengeError::Policy(PolicyError::Design(_)))));
    }
}
