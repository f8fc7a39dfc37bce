//! Policy and challenge files.

use crate::storage::{self, Secrecy};
use crate::{Error, Result};
use nanozk_audit::{Challenge, ChallengeError, Digest, Drawn, Policy, PolicyError, Use};
use nanozk_proof::transcript::Absorber;
use std::fs::File;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Explains a policy to who reads it.
const HEADER: &str = "# Audit policy: of each answer so many layers are drawn after the provider committed to it.\n\
    # Layer i is among them with probability inclusion[i] / 2^32 (4294967296: always).\n";

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A time in seconds since 1970, as RFC 3339 writes it.
pub fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    time.map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}

/// Writes a policy.
///
/// # Errors
/// The file cannot be written.
pub fn write_policy(path: &Path, policy: &Policy) -> Result<()> {
    let yaml = serde_yaml::to_string(policy).map_err(|e| Error::refused(e, "plan again"))?;
    storage::write_atomic(path, Secrecy::Open, (HEADER.to_owned() + &yaml).as_bytes())
}

/// Why a file is no policy that can be drawn by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// Not the YAML of a policy.
    #[error("not an audit policy ({0}); make one with `nanozk audit plan`")]
    Yaml(#[from] serde_yaml::Error),
    /// A policy that nobody can draw by.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Why a file is no challenge.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeFileError {
    /// Not the JSON of a challenge.
    #[error("not a challenge ({0}); draw one with `nanozk challenge`")]
    Json(#[from] serde_json::Error),
    /// Other layers than its randomness draws, or none to draw.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
}

/// A policy that can be drawn by, from the content of its file.
///
/// # Errors
/// What is wrong with it, and what helps.
pub fn policy(bytes: &[u8]) -> std::result::Result<Policy, PolicyFileError> {
    let policy: Policy = serde_yaml::from_slice(bytes)?;
    policy.design()?;
    Ok(policy)
}

/// Reads a policy that can be drawn by.
///
/// # Errors
/// As [`policy`]; a file that cannot be read.
pub fn read_policy(path: &Path) -> Result<Policy> {
    policy(&storage::read(path)?).map_err(Error::part_of(path.display()))
}

fn challenge_bytes(challenge: &Challenge) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(challenge).map_err(|e| Error::refused(e, "draw again"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a challenge where there is no file yet.
///
/// # Errors
/// A file that is there already, or cannot be written.
pub fn write_challenge(path: &Path, challenge: &Challenge) -> Result<()> {
    match storage::write_new(path, Secrecy::Open, &challenge_bytes(challenge)?)? {
        true => Ok(()),
        false => Err(Error::refused(
            format!("{}: is there already, and may be a challenge that is open", path.display()),
            "choose another output",
        )),
    }
}

/// A challenge whose draw was recomputed, from the content of its file.
///
/// # Errors
/// What is wrong with it, and what helps.
pub fn challenge(bytes: &[u8]) -> std::result::Result<(Challenge, Drawn), ChallengeFileError> {
    let challenge: Challenge = serde_json::from_slice(bytes)?;
    let drawn = challenge.check()?;
    Ok((challenge, drawn))
}

/// Reads a challenge and recomputes its draw.
///
/// # Errors
/// As [`challenge`]; a file that cannot be read.
pub fn read_challenge(path: &Path) -> Result<(Challenge, Drawn)> {
    challenge(&storage::read(path)?).map_err(Error::part_of(path.display()))
}

/// What a challenge knew of a proof before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// No proof had answered it.
    First,
    /// The same proof had, at this time.
    Again(u64),
    /// Another proof had, at this time: the challenge is used up.
    Other(u64),
}

/// Hash of a proof file.
pub fn proof_digest(bytes: &[u8]) -> Digest {
    let mut absorber = Absorber::new("nanozk proof file");
    absorber.bytes("file", bytes);
    Digest(absorber.digest())
}

/// Records in the file of a challenge that `proof` answered it, unless a proof did before. Of several processes with
/// several proofs one is the first: the file without a record is locked while it is replaced.
///
/// # Errors
/// The file is no challenge any more, or cannot be written.
pub fn record(path: &Path, proof: Digest) -> Result<Recorded> {
    let file = File::open(path).map_err(Error::io(path))?;
    file.lock().map_err(Error::io(path))?;
    // Whoever held the lock before may have put another file in its place.
    let (challenge, _) = read_challenge(path)?;
    match challenge.used {
        Some(used) if used.proof == proof => Ok(Recorded::Again(used.at)),
        Some(used) => Ok(Recorded::Other(used.at)),
        None => {
            let used = Some(Use { proof, at: now() });
            storage::write_atomic(path, Secrecy::Open, &challenge_bytes(&Challenge { used, ..challenge })?)?;
            Ok(Recorded::First)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_audit::{Randomness, Weights, plan};

    fn written(dir: &Path) -> std::path::PathBuf {
        let policy = Policy::new(&plan(&[false; 4], 2, Weights::Uniform).unwrap(), None);
        let value = vec![1; 32];
        let drawn = Challenge::draw(Digest([1; 32]), Digest([2; 32]), policy, Randomness::System { value }, 0).unwrap();
        let path = dir.join("challenge.json");
        write_challenge(&path, &drawn).unwrap();
        path
    }

    #[test]
    fn one_proof_answers_a_challenge() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let proofs: Vec<Digest> = (0..8).map(|i| Digest([i; 32])).collect();
        let recorded: Vec<Recorded> = std::thread::scope(|scope| {
            let threads: Vec<_> = proofs.iter().map(|p| scope.spawn(|| record(&path, *p).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(recorded.iter().filter(|r| **r == Recorded::First).count(), 1, "{recorded:?}");
        assert_eq!(recorded.iter().filter(|r| matches!(r, Recorded::Other(_))).count(), 7, "{recorded:?}");
        let first = recorded.iter().position(|r| *r == Recorded::First).unwrap();
        assert!(matches!(record(&path, proofs[first]).unwrap(), Recorded::Again(_)));
        assert!(read_challenge(&path).is_ok(), "a used challenge is one all the same");
    }

    #[test]
    fn files_are_refused_by_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let text = std::fs::read_to_string(&path).unwrap();
        let refused = |text: String, parts: &[&str]| {
            let other = dir.path().join("other.json");
            std::fs::write(&other, text).unwrap();
            let message = read_challenge(&other).expect_err("refused").to_string();
            assert!(message.contains("; ") && parts.iter().all(|part| message.contains(part)), "{message}");
        };
        refused(text.replacen('{', "{\"more\": 1,", 1), &["unknown field", "other.json"]);
        refused(text.replace("\"source\": \"system\"", "\"source\": \"system\", \"more\": 1"), &["unknown field"]);
        refused(text.replace("\"drawn\": 2", "\"drawn\": 3"), &["add up"]);
        refused(text.replace("\"commitment\": \"02", "\"commitment\": \"04"), &["other.json", "not those drawn"]);
        refused(text[..text.len() / 2].into(), &["not a challenge"]);
        assert!(write_challenge(&path, &read_challenge(&path).unwrap().0).is_err(), "an open challenge is kept");

        let path = dir.path().join("policy.yaml");
        let policy = read_challenge(&dir.path().join("challenge.json")).unwrap().0.policy;
        write_policy(&path, &policy).unwrap();
        assert_eq!(read_policy(&path).unwrap(), policy);
        let text = std::fs::read_to_string(&path).unwrap();
        for (wrong, part) in [
            (text.clone() + "more: 1\n", "unknown field"),
            (text.replace("version: 1", "version: 9"), "version 9"),
            (text.replace("drawn: 2", "drawn: 1"), "add up"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let message = read_policy(&path).expect_err("refused").to_string();
            assert!(message.contains("policy.yaml") && message.contains("; ") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(1_000_000_000), "2001-09-09T01:46:40Z");
        assert_eq!(utc(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
