//! `nanozk jobs status`: which jobs have a part.

use super::folder::Folder;
use super::ranges;
use crate::{Result, hex};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How far a run is. Whether parts are right is for the join to say.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// Run folder.
    pub run: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Number of jobs.
    pub jobs: usize,
    /// Jobs without a part.
    pub open: Vec<usize>,
    /// The answers.
    pub answers: Vec<AnswerStatus>,
}

/// How far an answer is.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerStatus {
    /// Name.
    pub name: String,
    /// Layers with a part.
    pub done: usize,
    /// Layers of the model.
    pub layers: usize,
}

/// Counts the parts of a run.
///
/// # Errors
/// A folder that is no run.
pub fn status(run: &Path) -> Result<StatusReport> {
    let folder = Folder::new(run);
    let manifest = folder.read()?;
    let open: Vec<usize> = (0..manifest.jobs()).filter(|job| !folder.is_done(manifest.id(*job))).collect();
    let layers = manifest.shapes.len();
    let answers = manifest.answers.iter().enumerate().map(|(i, answer)| {
        let missing = open.iter().filter(|job| **job / layers == i).count();
        AnswerStatus { name: answer.name.clone(), done: layers - missing, layers }
    });
    Ok(StatusReport {
        run: run.into(),
        model_id: hex(&manifest.model_id),
        jobs: manifest.jobs(),
        answers: answers.collect(),
        open,
    })
}

impl std::fmt::Display for StatusReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = crate::table::Table::new(&["answer", "done", "layers"]);
        for answer in &self.answers {
            table.row(vec![answer.name.clone(), answer.done.to_string(), answer.layers.to_string()]);
        }
        table.write(f)?;
        writeln!(f, "\nmodel id   {}", self.model_id)?;
        write!(f, "jobs       {} of {} done", self.jobs - self.open.len(), self.jobs)?;
        if self.open.is_empty() { Ok(()) } else { write!(f, "\nopen       {}", ranges(&self.open)) }
    }
}
