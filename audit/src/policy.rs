//! What a policy file holds.

use crate::design::{Design, DesignError};
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// Version of the file.
pub const VERSION: u32 = 1;

/// Which layers are drawn how often. What stands here is all that a draw depends on beside its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the model that it was made for; absent: for any with so many layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<Digest>,
    /// Layers drawn of each answer.
    pub drawn: u32,
    /// Inclusion probability of each layer, over 2^32.
    pub inclusion: Vec<u64>,
}

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Of another version.
    #[error("an audit policy of version {0}, this binary reads {VERSION}; make it again with `nanozk audit plan`")]
    Version(u32),
    /// Probabilities that allow no draw.
    #[error(transparent)]
    Design(#[from] DesignError),
}

impl Policy {
    /// The policy that draws by `design`.
    pub fn new(design: &Design, model_id: Option<Digest>) -> Self {
        Policy { version: VERSION, model_id, drawn: design.drawn(), inclusion: design.inclusion().to_vec() }
    }

    /// How it draws.
    ///
    /// # Errors
    /// Another version, or probabilities that allow no draw.
    pub fn design(&self) -> Result<Design, PolicyError> {
        if self.version != VERSION {
            return Err(PolicyError::Version(self.version));
        }
        Ok(Design::new(self.inclusion.clone(), self.drawn)?)
    }

    /// Hash of all of it.
    pub fn digest(&self) -> [u8; 32] {
        let mut state = blake2b_simd::Params::new().hash_length(32).personal(b"nanozk-policy").to_state();
        let id = self.model_id.as_ref().map(|id| &id.0[..]).unwrap_or_default();
        state.update(&self.version.to_le_bytes()).update(&(id.len() as u64).to_le_bytes()).update(id);
        state.update(&self.drawn.to_le_bytes()).update(&(self.inclusion.len() as u64).to_le_bytes());
        for inclusion in &self.inclusion {
            state.update(&inclusion.to_le_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(state.finalize().as_bytes());
        digest
    }
}
