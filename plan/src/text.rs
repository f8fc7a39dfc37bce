//! What the tokens of a language model stand for.

use serde::{Deserialize, Serialize};

/// What a model's publisher says of its tokens. Part of the model id; no circuit depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Ids that end an answer, in ascending order.
    pub end: Vec<u32>,
    /// BLAKE2b-256 of the tokenizer's file.
    pub tokenizer: Option<[u8; 32]>,
}

impl Text {
    /// Whether a token ends an answer.
    pub fn ends(&self, token: i64) -> bool {
        u32::try_from(token).is_ok_and(|token| self.end.contains(&token))
    }
}
