//! The layout of a run folder.

use super::content::{self, Id, Part};
use crate::storage;
use crate::{Error, Result, hex, keys};
use nanozk_plan::format::{self, Kind};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a run consists of. Not secret; it names secret files.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Id of the model.
    pub model_id: [u8; 32],
    /// [`super::content::Shape`] of each layer of the model.
    pub shapes: Vec<Id>,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// One answer of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Name, by the input's file.
    pub name: String,
    /// Content of its commitment file.
    pub commitment: Id,
    /// [`super::content::Job`] of each layer.
    pub jobs: Vec<Id>,
}

impl Manifest {
    /// Number of jobs.
    pub fn jobs(&self) -> usize {
        self.answers.len() * self.shapes.len()
    }

    /// Answer and layer of a job.
    pub fn place(&self, job: usize) -> (&Answer, usize) {
        let layers = self.shapes.len();
        (&self.answers[job / layers], job % layers)
    }

    /// Content of a job.
    pub fn id(&self, job: usize) -> &Id {
        let (answer, layer) = self.place(job);
        &answer.jobs[layer]
    }
}

/// A run folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The layout below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Folder(dir.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("run")
    }

    /// A copy of the verifier file.
    pub fn verifier(&self) -> PathBuf {
        self.0.join("verifier.nanozk")
    }

    /// A copy of the SRS.
    pub fn srs(&self) -> PathBuf {
        self.0.join("srs.bin")
    }

    /// Commitments of the answers, by number.
    pub fn answers(&self) -> PathBuf {
        self.0.join("answers")
    }

    /// Shapes and layers.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Jobs.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// Finished jobs.
    pub fn parts(&self) -> PathBuf {
        self.0.join("parts")
    }

    /// Parts that did not pass the join.
    pub fn wrong(&self) -> PathBuf {
        self.0.join("wrong")
    }

    /// The part of a job.
    pub fn part(&self, job: &Id) -> PathBuf {
        self.parts().join(hex(job))
    }

    /// The commitment of an answer.
    pub fn commitment(&self, answer: usize) -> PathBuf {
        self.answers().join(format!("{answer}.commit"))
    }

    /// What was released of an answer.
    pub fn released(&self, answer: usize) -> PathBuf {
        self.answers().join(format!("{answer}.released"))
    }

    /// Reads the manifest.
    pub fn read(&self) -> Result<Manifest> {
        let path = self.manifest();
        if !path.is_file() {
            let what = format!("{}: no run folder", self.0.display());
            return Err(Error::refused(what, "make it with `nanozk jobs split keys/ --input input.json -o run/`"));
        }
        let manifest: Manifest = storage::load(Kind::Run, &path)?;
        let whole =
            !manifest.shapes.is_empty() && manifest.answers.iter().all(|a| a.jobs.len() == manifest.shapes.len());
        if !whole || manifest.answers.iter().any(|answer| !is_file_name(&answer.name)) {
            let what = "answers or layers are missing, or an answer's name is none".into();
            return Err(Error::format(&path)(format::FormatError::Malformed { expected: Kind::Run, what }));
        }
        Ok(manifest)
    }

    /// Reads the verifier file, which must be of the run's model.
    pub fn verifier_key(&self, manifest: &Manifest) -> Result<VerifierKey> {
        let path = self.verifier();
        let key = keys::read_verifier(&path)?;
        if key.model_id() != manifest.model_id || key.layers.len() != manifest.shapes.len() {
            let (found, wanted) = (hex(&key.model_id()), hex(&manifest.model_id));
            let what = format!("{}: of model {found}, the run is of {wanted}", path.display());
            return Err(Error::refused(what, "copy the verifier file of the run's model there"));
        }
        Ok(key)
    }

    /// Reads the commitment of an answer.
    pub fn bundle(&self, manifest: &Manifest, answer: usize) -> Result<Bundle> {
        let path = self.commitment(answer);
        let bytes = storage::read(&path)?;
        if content::name(&bytes) != manifest.answers[answer].commitment {
            let what = format!("{}: not the commitment of this run: changed, or of another run", path.display());
            return Err(Error::refused(what, "copy it again from the folder that `nanozk jobs split` made"));
        }
        Bundle::from_commitment(&bytes).map_err(Error::format(&path))
    }

    /// Whether a job has a part.
    pub fn is_done(&self, job: &Id) -> bool {
        self.part(job).exists()
    }

    /// Stores the part of a job. `false` when there is one already: that one counts, and this one is to be discarded.
    pub fn store(&self, part: &Part) -> Result<bool> {
        storage::save_new(Kind::Part, &self.part(&part.job), storage::Secrecy::Secret, part)
    }
}

/// Whether `name` can be the name of a file that is not hidden.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
