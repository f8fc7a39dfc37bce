//! An answer as the statement: the tokens that a causal model chose, one after the other, behind a prompt.
//!
//! The model reads tokens and gives, for each of them, the token that it holds the likeliest next one. Both are public, so
//! a proof of one run shows every choice at once: the answer is the model's when each of its tokens is the choice behind
//! the tokens before it. Token `t` of the input is then what the model gave at `t - 1`, for all `t` beyond the prompt.

use crate::{
    bundle::{Answer, Bundle},
    keys::{Endpoint, Rows, VerifierKey, Visibility},
    layer::LayerKey,
    sampling,
    statement::StatementError,
};
use nanozk_ir::int::{Graph, interp, ops::Port};
use rayon::prelude::*;
use serde::Serialize;

/// A prompt with the model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Tokens of the prompt.
    pub prompt: Vec<u32>,
    /// Tokens of the answer; a token that ends it is its last.
    pub answer: Vec<u32>,
    /// Why the answer has no further token.
    pub ended: Ended,
    /// Temperature in thousandths; 0 for the likeliest tokens.
    pub temperature: u32,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The model gave a token that ends it.
    EndOfSequence,
    /// It has as many tokens as were asked for.
    Limit,
    /// The model takes no more tokens.
    Context,
}

/// Why a model has no answers, or a bundle none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The graphs of the verifier file.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A model that does not write token by token.
    #[error("the model does not write answers: {0}")]
    Model(&'static str),
    /// A mask that hides tokens, or places other than theirs.
    #[error("input {name} is not that of an answer: a mask must hide no token, and positions count from 0")]
    Input {
        /// Its tensor.
        name: String,
    },
    /// A temperature that the noise was not made for.
    #[error("a temperature of {temperature} thousandths, and the model was compiled for at most {most}")]
    Temperature {
        /// Asked for.
        temperature: u32,
        /// Greatest.
        most: u32,
    },
    /// Draws that their maker could repeat.
    #[error("an answer drawn at a temperature without the verifier's nonce, by which its maker cannot draw again")]
    NoNonce,
    /// A prompt that is empty or longer than the run.
    #[error("a prompt of {prompt} tokens among {length}")]
    Prompt {
        /// Tokens of the prompt.
        prompt: u32,
        /// Tokens of the run.
        length: u32,
    },
    /// A token of the answer that the model did not choose.
    #[error("token {at} is {found}, and the model chose {chosen}")]
    Choice {
        /// Position.
        at: usize,
        /// Token.
        found: i64,
        /// What the model gave behind the tokens before.
        chosen: i64,
    },
    /// An answer that goes on behind its end.
    #[error("token {at} ends the answer, and more tokens follow")]
    BeyondEnd {
        /// Position.
        at: usize,
    },
    /// An answer of more tokens than were asked for.
    #[error("{tokens} tokens where at most {limit} were asked for")]
    TooLong {
        /// Tokens of the answer.
        tokens: u32,
        /// Most tokens.
        limit: u32,
    },
    /// An answer of which tokens are missing.
    #[error("it stops after {tokens} tokens, which neither end it nor are the {limit} that were asked for")]
    Unfinished {
        /// Tokens of the answer.
        tokens: u32,
        /// Most tokens.
        limit: u32,
    },
}

/// What an input beside the tokens must hold in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// A mask that hides no token, `[tokens, tokens]`: 1 everywhere.
    Mask,
    /// The place of each token, `[tokens, 1]`: t at token t, 0 beyond the true length.
    Positions,
}

impl Fixed {
    /// The values in a run of `length` tokens of at most `tokens`.
    pub fn values(self, tokens: usize, length: usize) -> Vec<i64> {
        match self {
            Fixed::Mask => vec![1; tokens * tokens],
            Fixed::Positions => (0..tokens).map(|t| if t < length { t as i64 } else { 0 }).collect(),
        }
    }
}

/// The tensors of a model that writes answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// `[tokens, 1]`: tokens read.
    pub input: u32,
    /// `[tokens, 1]`: the token that is likeliest next, the lowest of them where several are.
    pub output: u32,
    /// Inputs beside the tokens.
    pub fixed: Vec<(u32, Fixed)>,
    /// `[tokens, vocabulary]`: what is added to the scores before, if answers can be drawn.
    pub noise: Option<u32>,
}

impl Writer {
    /// The tensors of a model that reads public tokens, shows no token those that follow it, and gives the index of the
    /// greatest score of each.
    ///
    /// # Errors
    /// What the model lacks.
    pub fn of(key: &VerifierKey) -> Result<Self, AnswerError> {
        let circuits = key.circuits.read().map_err(StatementError::from)?;
        let graphs: Vec<Graph> = circuits.into_iter().map(|circuit| circuit.graph).collect();
        let (input, fixed) = inputs(key)?;
        let [output] = &key.outputs[..] else { return Err(AnswerError::Model("it must have one output")) };
        let chosen = &key.tensors[output.tensor as usize];
        let noise = sampling::tensor(key);
        let chooses = chosen.visibility == Visibility::PublicOutput && wins(key, &graphs, output, noise);
        if !token_each(key, output) || !chooses {
            return Err(AnswerError::Model("its output must be the index of the greatest score of each token"));
        }
        if graphs.iter().any(|graph| graph.sees_padding(key.tokens)) {
            return Err(AnswerError::Model("its tokens see those that follow them"));
        }
        Ok(Writer { input, fixed, output: output.tensor, noise })
    }
}

/// The tensor of tokens, and what the other inputs must hold.
///
/// # Errors
/// Inputs that are not public, or no tokens, mask and positions.
pub fn inputs(key: &VerifierKey) -> Result<(u32, Vec<(u32, Fixed)>), AnswerError> {
    let (mut tokens, mut fixed) = (None, Vec::new());
    for input in &key.inputs {
        let spec = &key.tensors[input.tensor as usize];
        if spec.visibility != Visibility::PublicInput {
            return Err(AnswerError::Model("its inputs must be public"));
        }
        match spec.rows {
            Rows::Equal if spec.features == key.tokens && (spec.lo, spec.hi) == (0, 1) => {
                fixed.push((input.tensor, Fixed::Mask));
            }
            Rows::Padded if token_each(key, input) && input.value.name.contains("position") => {
                fixed.push((input.tensor, Fixed::Positions));
            }
            Rows::Padded if token_each(key, input) && tokens.is_none() => tokens = Some(input.tensor),
            _ => {
                let what = "its inputs must be tokens of which a prompt may have fewer, and beside them a mask of the tokens \
                            and their positions at most";
                return Err(AnswerError::Model(what));
            }
        }
    }
    Ok((tokens.ok_or(AnswerError::Model("it must have an input of tokens"))?, fixed))
}

/// Whether an end of the model is one integer for each token, in order.
fn token_each(key: &VerifierKey, Endpoint { tensor, value }: &Endpoint) -> bool {
    let spec = &key.tensors[*tensor as usize];
    let exact = value.dtype.exact() && spec.scale == 1.0 && spec.features == 1;
    exact && spec.lo >= 0 && spec.hi <= i64::from(u32::MAX) && value.indices().eq(0..key.tokens as usize)
}

/// Whether the output is the index of the greatest of all scores of a token, and the noise, if there is any, is added to
/// these scores and read by nothing else.
fn wins(key: &VerifierKey, graphs: &[Graph], output: &Endpoint, noise: Option<u32>) -> bool {
    let readers = |id: u32| key.layers.iter().flat_map(|layer| &layer.inputs).filter(|read| **read == id).count();
    let chooses = |layer: &LayerKey| {
        let port = layer.outputs.iter().position(|id| *id == output.tensor)?;
        let graph = graphs.get(layer.shape as usize)?;
        let (_, node) = interp::outputs(graph).find(|(p, _)| *p == port)?;
        let choice = graph.nodes.get(*graph.nodes[node].inputs.first()? as usize)?;
        if choice.op.meaning().choices() != Some(1) {
            return None;
        }
        match (noise, &choice.inputs[..]) {
            (None, [_]) => Some(()),
            (Some(id), [_, added]) if readers(id) == 1 => {
                let Some(Port::Input(port)) = graph.nodes.get(*added as usize)?.op.meaning().port() else {
                    return None;
                };
                let ports = graph.nodes.iter().filter(|node| node.op.meaning().port() == Some(Port::Input(port)));
                let uses = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|operand| *operand == added);
                (layer.inputs.get(port as usize) == Some(&id) && ports.count() == 1 && uses.count() == 1).then_some(())
            }
            _ => None,
        }
    };
    key.layers.iter().any(|layer| chooses(layer).is_some())
}

impl Answer {
    /// What the proof is bound to.
    pub fn bytes(self) -> Vec<u8> {
        [self.prompt, self.limit, self.temperature].map(u32::to_le_bytes).concat()
    }

    /// Prompt and answer of a bundle of all layers, which is verified already with the noise that it leads to.
    ///
    /// # Errors
    /// When the model writes no answers, or the tokens are not its choices, all of them and no more.
    pub fn transcript(self, key: &VerifierKey, bundle: &Bundle) -> Result<Transcript, AnswerError> {
        let Writer { input, output, fixed, .. } = Writer::of(key)?;
        let values = |tensor| bundle.public(tensor).ok_or(AnswerError::Model("its tokens are hidden"));
        let (read, chosen) = (values(input)?, values(output)?);
        let Answer { prompt, limit, temperature } = self;
        let length = bundle.length;
        check_temperature(key, temperature)?;
        if temperature > 0 && bundle.nonce.is_empty() {
            return Err(AnswerError::NoNonce);
        }
        if prompt == 0 || prompt > length {
            return Err(AnswerError::Prompt { prompt, length });
        }
        let (first, length) = (prompt as usize, length as usize);
        for (tensor, fixed) in fixed {
            if values(tensor)? != fixed.values(key.tokens as usize, length) {
                return Err(AnswerError::Input { name: key.tensors[tensor as usize].name.clone() });
            }
        }
        for at in first..length {
            let (found, chosen) = (read[at], chosen[at - 1]);
            if found != chosen {
                return Err(AnswerError::Choice { at, found, chosen });
            }
            if key.text.ends(found) {
                return Err(AnswerError::BeyondEnd { at });
            }
        }
        let tokens = bundle.length - prompt + 1;
        let ended = match chosen[length - 1] {
            _ if tokens > limit => return Err(AnswerError::TooLong { tokens, limit }),
            last if key.text.ends(last) => Ended::EndOfSequence,
            _ if tokens == limit => Ended::Limit,
            _ if bundle.length == key.tokens => Ended::Context,
            _ => return Err(AnswerError::Unfinished { tokens, limit }),
        };
        let ids = |values: &[i64]| values.iter().map(|v| *v as u32).collect();
        let (prompt, answer) = (ids(&read[..first]), ids(&chosen[first - 1..length]));
        Ok(Transcript { prompt, answer, ended, temperature })
    }
}

/// Whether answers can be drawn at this temperature, in thousandths; 0 is always possible.
///
/// # Errors
/// A model without noise, or whose tensor of noise has no room for it.
pub fn check_temperature(key: &VerifierKey, temperature: u32) -> Result<(), AnswerError> {
    let most = sampling::tensor(key).map_or(0, |id| sampling::max_temperature(&key.tensors[id as usize]));
    if temperature <= most { Ok(()) } else { Err(AnswerError::Temperature { temperature, most }) }
}

/// The tensor of noise of a model that has one, with the values that the claims of a bundle lead to.
///
/// # Errors
/// A temperature for which the tensor has no room.
pub fn noise(key: &VerifierKey, bundle: &Bundle) -> Result<Option<(u32, Vec<i64>)>, AnswerError> {
    let temperature = bundle.answer.map_or(0, |answer| answer.temperature);
    check_temperature(key, temperature)?;
    let Some(id) = sampling::tensor(key) else { return Ok(None) };
    let spec = &key.tensors[id as usize];
    let (tokens, features) = (key.tokens as usize, spec.features as usize);
    let mut values = vec![0; tokens * features];
    let read = inputs(key).ok().and_then(|(tokens, _)| bundle.public(tokens)).unwrap_or_default();
    let (prompt, length) = (bundle.answer.map_or(0, |answer| answer.prompt as usize), bundle.length as usize);
    // A claim that fits no run is refused with the answer.
    if temperature > 0 && (1..=length).contains(&prompt) && length <= tokens && read.len() == tokens {
        let prompt_ids: Vec<u32> = read[..prompt].iter().map(|token| *token as u32).collect();
        let noise = sampling::Noise::new(&bundle.model_id, spec, &bundle.nonce, &prompt_ids, temperature);
        let drawn = &mut values[(prompt - 1) * features..length * features];
        let rows = drawn.par_chunks_mut(features).enumerate();
        rows.for_each(|(at, row)| row.copy_from_slice(&noise.row(prompt - 1 + at)));
    }
    Ok(Some((id, values)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bundle::PublicTensor,
        circuits::{Circuit, Circuits},
        keys::TensorKey,
        srs::Srs,
    };
    use nanozk_ir::int::{Node, Op, gumbel, ops};
    use nanozk_layout::{Choices, Squares};
    use nanozk_plan::{ElementType, ValueInfo};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// A model of two tokens whose one score of each token always wins, with noise of these values on it.
    fn writer(noise: Option<(i64, i64)>) -> VerifierKey {
        let srs = Srs::generate_unsafe(3, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let none = || [Vec::new(), Vec::new()];
        let srs = *srs.verifier_part();
        let mut key =
            VerifierKey::new(2, Vec::new(), none(), Circuits::default(), Vec::new(), Vec::new(), srs).unwrap();
        let ends = [(Visibility::PublicInput, (0, 3)), (Visibility::PublicOutput, (0, 3))];
        let tensors = ends.into_iter().chain(noise.map(|range| (Visibility::Noise, range)));
        let tensor = |(visibility, (lo, hi))| TensorKey {
            name: "tensor".into(),
            features: 1,
            scale: 1.0,
            lo,
            hi,
            visibility,
            rows: Rows::Padded,
        };
        key.tensors = tensors.map(tensor).collect();
        let value = ValueInfo::row_major("ids", vec![2], ElementType::Int64);
        let [input, output] = [0, 1].map(|tensor| Endpoint { tensor, value: value.clone() });
        (key.inputs, key.outputs) = (vec![input], vec![output]);
        let read: Vec<u32> = (0..1 + u32::from(noise.is_some())).collect();
        let mut graph = Graph::default();
        let mut push = |op: Op, inputs: Vec<u32>| {
            graph.push(Node { name: "node".into(), op, inputs, features: 1, lo: 0, hi: 3 });
        };
        read.iter().for_each(|&port| push(ops::Input { port }.into(), Vec::new()));
        push(ops::ArgMax { groups: 1, limbs: 1 }.into(), read.clone());
        push(ops::Output { port: 0 }.into(), vec![read.len() as u32]);
        let choices = Choices { k: 6, squares: Squares::Plain, weight_columns: 0 };
        key.circuits = Circuits::new(&[Circuit { graph, choices }]).unwrap();
        let (weights, tables, params) = (Vec::new(), Vec::new(), Vec::new());
        let inputs = read.iter().map(|port| port * 2).collect();
        key.layers =
            vec![LayerKey { name: "layer".into(), shape: 0, inputs, outputs: vec![1], weights, tables, params }];
        key
    }

    /// A bundle without proofs that claims an answer, with the values of its first tensors.
    fn claiming(answer: Answer, length: u32, values: impl IntoIterator<Item = Vec<i64>>) -> Bundle {
        Bundle {
            model_id: [0; 32],
            nonce: b"nonce".to_vec(),
            length,
            answer: Some(answer),
            public: (0..).zip(values).map(|(tensor, values)| PublicTensor { tensor, values }).collect(),
            committed: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// A claim of a greater temperature than the noise has room for is refused, before any is drawn and with the answer.
    #[test]
    fn temperatures_fit_the_noise() {
        let noisy = writer(Some(gumbel::range(700, 1.0)));
        let most = sampling::max_temperature(&noisy.tensors[2]);
        assert!(most >= 700);
        for (key, most) in [(writer(None), 0), (noisy, most)] {
            let verdicts = |temperature| {
                let answer = Answer { prompt: 1, limit: 2, temperature };
                let bundle = claiming(answer, 2, [vec![0, 0], vec![0, 0]]);
                let checked = check_temperature(&key, temperature);
                [checked, noise(&key, &bundle).map(drop), answer.transcript(&key, &bundle).map(drop)]
            };
            for temperature in [0, most] {
                assert_eq!(verdicts(temperature), [Ok(()), Ok(()), Ok(())], "{temperature}");
            }
            for temperature in [most + 1, u32::MAX] {
                let refused = || Err(AnswerError::Temperature { temperature, most });
                assert_eq!(verdicts(temperature), [refused(), refused(), refused()]);
            }
        }
    }

    /// A bundle that holds another number of tokens, or claims more, is refused elsewhere and drawn nothing for.
    #[test]
    fn nothing_is_drawn_for_claims_of_other_lengths() {
        let key = writer(Some(gumbel::range(700, 1.0)));
        let drawn = |length, values: Vec<i64>| {
            let bundle = claiming(Answer { prompt: 1, limit: 2, temperature: 700 }, length, [values]);
            noise(&key, &bundle).unwrap().unwrap().1
        };
        assert_ne!(drawn(2, vec![0, 0]), [0, 0]);
        for (length, values) in [(3, vec![0, 0]), (2, vec![0]), (2, vec![0; 3])] {
            assert_eq!(drawn(length, values), [0, 0]);
        }
    }

    /// Noise that something else reads could say what the choice does not.
    #[test]
    fn noise_is_added_to_the_scores_and_read_by_nothing_else() {
        let mut key = writer(Some(gumbel::range(700, 1.0)));
        assert!(Writer::of(&key).is_ok());
        let mut circuits = key.circuits.read().unwrap();
        circuits[0].graph.push(Node {
            name: "another".into(),
            op: ops::Step { limbs: 1 }.into(),
            inputs: vec![1],
            features: 1,
            lo: 0,
            hi: 1,
        });
        key.circuits = Circuits::new(&circuits).unwrap();
        assert!(matches!(Writer::of(&key), Err(AnswerError::Model(_))));
    }
}
