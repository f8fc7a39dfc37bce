//! What an output says, as a distribution, and how far two of them are apart.

use serde::{Deserialize, Serialize};

/// How far a row of probabilities may be from adding up to 1.
const SUM: f64 = 0.02;

/// The distribution that an output stands for. A row lies along its last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// A row is scores of classes; their softmax is the distribution.
    Scores,
    /// A row is probabilities of classes.
    Probabilities,
    /// A value is the mean of a normal distribution of variance 1: half the squared error.
    Gaussian,
    /// Values are indices or counts, which move by leaps: they are left out.
    Ignored,
}

impl std::fmt::Display for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reading::Scores => "the softmax of each row",
            Reading::Probabilities => "each row as it is",
            Reading::Gaussian => "no distribution: half the squared error is taken",
            Reading::Ignored => "integers: left out",
        })
    }
}

/// A name of no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is none of scores, probabilities, gaussian")]
pub struct UnknownReading(String);

impl std::str::FromStr for Reading {
    type Err = UnknownReading;

    fn from_str(text: &str) -> Result<Self, UnknownReading> {
        match text {
            "scores" => Ok(Reading::Scores),
            "probabilities" => Ok(Reading::Probabilities),
            "gaussian" => Ok(Reading::Gaussian),
            other => Err(UnknownReading(other.to_owned())),
        }
    }
}

impl Reading {
    /// What rows like these are: probabilities where all are not negative and add up to 1, scores where they have
    /// several values, else means.
    pub fn guess<'a>(mut rows: impl Iterator<Item = &'a [f64]> + Clone) -> Self {
        let probabilities = |row: &[f64]| row.iter().all(|v| *v >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() < SUM;
        if rows.clone().any(|row| row.len() < 2) {
            Reading::Gaussian
        } else if rows.all(probabilities) {
            Reading::Probabilities
        } else {
            Reading::Scores
        }
    }

    /// Kullback-Leibler divergence, in nats, of the distribution of row `q` from that of row `p`. Probabilities below
    /// `unit` count as `unit`.
    pub fn divergence(self, p: &[f64], q: &[f64], unit: f64) -> f64 {
        let pairs = p.iter().zip(q);
        match self {
            Reading::Ignored => 0.0,
            Reading::Gaussian => pairs.map(|(p, q)| (p - q) * (p - q) / 2.0).sum(),
            Reading::Probabilities => {
                // Not quite 1 in sum; the two last terms make each sum's divergence positive all the same.
                pairs.map(|(p, q)| (p.max(unit), q.max(unit))).map(|(p, q)| p * (p / q).ln() - p + q).sum()
            }
            Reading::Scores => {
                // log sum p e^d - sum p d for the differences d, which loses nothing where they are small.
                let most = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = p.iter().map(|v| (v - most).exp()).sum();
                let share = |v: f64| (v - most).exp() / sum;
                let (grown, mean) = pairs.fold((0.0, 0.0), |(grown, mean), (&p, &q)| {
                    (grown + share(p) * (q - p).exp_m1(), mean + share(p) * (q - p))
                });
                grown.ln_1p() - mean
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn softmax(row: &[f64]) -> Vec<f64> {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum).collect()
    }

    #[test]
    fn divergences_are_those_of_their_definitions() {
        let (p, q) = ([0.3, -1.0, 2.0], [0.1, -0.5, 2.5]);
        let direct: f64 = softmax(&p).iter().zip(softmax(&q)).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((Reading::Scores.divergence(&p, &q, 0.0) - direct).abs() < 1e-14);
        let given = Reading::Probabilities.divergence(&softmax(&p), &softmax(&q), 1e-6);
        assert!((given - direct).abs() < 1e-14);
        assert!((Reading::Gaussian.divergence(&p, &q, 0.0) - 0.27).abs() < 1e-14);
        for reading in [Reading::Scores, Reading::Probabilities, Reading::Gaussian, Reading::Ignored] {
            assert_eq!(reading.divergence(&p, &p, 0.1), 0.0);
        }
    }

    #[test]
    fn outputs_are_told_apart() {
        let guess = |rows: &[&[f64]]| Reading::guess(rows.iter().copied());
        assert_eq!(guess(&[&[0.2, 0.79], &[1.0, 0.0]]), Reading::Probabilities);
        assert_eq!(guess(&[&[0.2, 0.8], &[1.0, 0.5]]), Reading::Scores);
        assert_eq!(guess(&[&[0.2], &[1.0]]), Reading::Gaussian);
    }
}
