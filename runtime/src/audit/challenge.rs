//! `nanozk challenge`: the verifier draws layers of a commitment that it has received.

use super::files;
use crate::setup::secret_seed;
use crate::shown::Shown;
use crate::{Error, Result, commit, compare, hex, keys, storage};
use ff::PrimeField;
use nanozk_audit::{Challenge, Digest, Randomness};
use serde::Serialize;
use std::path::PathBuf;

/// What to draw for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Commitment file.
    pub commitment: PathBuf,
    /// Verifier file.
    pub verifier: PathBuf,
    /// Policy file.
    pub policy: PathBuf,
    /// A beacon's value, and which beacon's; the randomness of the system when absent.
    pub beacon: Option<(Vec<u8>, String)>,
    /// Nonce that the commitment must carry.
    pub nonce: Option<Vec<u8>>,
    /// Input that was sent: the commitment must be to it.
    pub input: Option<PathBuf>,
    /// Challenge file to write.
    pub out: PathBuf,
}

/// What was drawn.
#[derive(Clone, Debug, Serialize)]
pub struct ChallengeReport {
    /// Challenge file.
    pub challenge: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Hash of the commitment.
    pub commitment: String,
    /// What was drawn from, in words.
    pub source: String,
    /// When, as RFC 3339 writes it.
    pub drawn_at: String,
    /// Layers drawn.
    pub layers: Vec<u32>,
    /// Layers of the model.
    pub total: usize,
    /// Least probability that one wrong layer is caught, whichever it is.
    pub least_detection: f64,
}

/// Draws layers of a commitment and writes the challenge.
///
/// # Errors
/// A commitment to another model, input or nonce; a policy that is not for it; a challenge that is there already.
pub fn challenge(request: &Request) -> Result<ChallengeReport> {
    storage::check_writable(&request.out)?;
    let key = keys::read_verifier(&request.verifier)?;
    let bundle = commit::read(&request.commitment)?;
    let of = |what: String| {
        Error::refused(format!("{}: {what}", request.commitment.display()), "ask for another commitment")
    };
    let (id, found) = (hex(&key.model_id()), hex(&bundle.model_id));
    if id != found {
        return Err(of(format!("the commitment is to model {found}, the verifier file of {id}")));
    }
    bundle.fits(&key).map_err(|e| of(format!("the commitment does not fit the model: {e}")))?;
    if request.nonce.as_ref().is_some_and(|nonce| *nonce != bundle.nonce) {
        return Err(of("the commitment does not carry the nonce asked for".into()));
    }
    if let Some(path) = &request.input {
        let shown = Shown::of_bundle(&key, &bundle, &key.inputs, |_| None);
        if let Some(difference) = compare::input(&key, &bundle, &shown, path)? {
            return Err(Error::part_of(request.commitment.display())(difference));
        }
    }
    let policy = files::read_policy(&request.policy)?;
    if policy.inclusion.len() != key.layers.len() {
        let what = format!("{}: draws from {} layers", request.policy.display(), policy.inclusion.len());
        return Err(Error::refused(format!("{what}, the model has {}", key.layers.len()), "plan for this model"));
    }
    let randomness = match &request.beacon {
        Some((value, name)) => Randomness::Beacon { name: name.clone(), value: value.clone() },
        None => Randomness::System { value: secret_seed()?.to_vec() },
    };
    let mut commitment = [0; 32];
    commitment.copy_from_slice(bundle.prefix().to_repr().as_ref());
    let challenge = Challenge::draw(Digest(key.model_id()), Digest(commitment), policy, randomness, files::now());
    let challenge = challenge.map_err(Error::part)?;
    let design = challenge.policy.design().map_err(Error::part)?;
    files::write_challenge(&request.out, &challenge)?;
    Ok(ChallengeReport {
        challenge: request.out.clone(),
        model_id: id,
        commitment: challenge.commitment.to_string(),
        source: challenge.randomness.to_string(),
        drawn_at: files::utc(challenge.drawn_at),
        layers: challenge.layers,
        total: design.layers(),
        least_detection: design.least(),
    })
}

impl std::fmt::Display for ChallengeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<String> = self.layers.iter().map(u32::to_string).collect();
        writeln!(f, "challenge  {}", self.challenge.display())?;
        writeln!(f, "model id   {}", self.model_id)?;
        writeln!(f, "commitment {}", self.commitment)?;
        writeln!(f, "drawn      layers {} ({} of {})", layers.join(" "), self.layers.len(), self.total)?;
        writeln!(f, "from       {}, at {}", self.source, self.drawn_at)?;
        write!(f, "detection  one wrong layer is caught with probability {:.4} at least", self.least_detection)
    }
}
