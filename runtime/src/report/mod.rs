//! `nanozk report`: a proof as a page that verifies itself in a browser.
//!
//! The page is the built one of `web/`, a second verifier that shares no code with this one; `npm run page` there makes it
//! anew.

use crate::storage::{self, Secrecy};
use crate::verify::{self, VerifyOptions};
use crate::{Error, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The page, to which files can be added.
const PAGE: &str = include_str!("page.html");

/// Where files stand in it.
const PLACE: &str = "<!-- files of a report -->";

/// Most bytes of files that a report holds.
const MOST_BYTES: usize = 20_000_000;

/// What to report.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Verifier file.
    pub verifier: PathBuf,
    /// Proof file.
    pub proof: PathBuf,
    /// Tokenizer of the model, to read texts.
    pub tokenizer: Option<PathBuf>,
    /// Page to write.
    pub out: PathBuf,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The page.
    pub report: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Whether the proof is of all layers.
    pub full: bool,
    /// Whether the page holds the files; else they are to be sent beside it.
    pub embedded: bool,
    /// Size of the page.
    pub bytes: usize,
}

/// Writes a page that shows and verifies a proof when it is opened.
///
/// # Errors
/// Files that cannot be read or written, and a proof that does not hold.
pub fn report(request: &Request) -> Result<Report> {
    storage::check_writable(&request.out)?;
    let verdict = verify::verify(&verify::Request {
        verifier: request.verifier.clone(),
        proof: request.proof.clone(),
        tokenizer: request.tokenizer.clone(),
        options: VerifyOptions { allow_unsafe_srs: true, ..Default::default() },
        allow_partial: true,
        ..Default::default()
    })?;
    if let Some(error) = verdict.error {
        return Err(Error::part_of(request.proof.display())(error));
    }
    let files = [
        ("verifier", Some(&request.verifier)),
        ("proof", Some(&request.proof)),
        ("tokenizer", request.tokenizer.as_ref()),
    ];
    let files = files.into_iter().filter_map(|(slot, path)| Some((slot, path?)));
    let files: Vec<(&str, &Path, Vec<u8>)> =
        files.map(|(slot, path)| Ok((slot, path.as_path(), storage::read(path)?))).collect::<Result<_>>()?;
    let embedded = files.iter().map(|(.., bytes)| bytes.len()).sum::<usize>() <= MOST_BYTES;
    let page = if embedded { with_files(&files) } else { PAGE.to_owned() };
    storage::write_atomic(&request.out, Secrecy::Open, page.as_bytes())?;
    let Request { out, .. } = request.clone();
    Ok(Report { report: out, model_id: verdict.model_id, full: verdict.full, embedded, bytes: page.len() })
}

/// The page with files in it, each with what it is and its name.
fn with_files(files: &[(&str, &Path, Vec<u8>)]) -> String {
    let holder = |(slot, path, bytes): &(&str, &Path, Vec<u8>)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name: String =
            name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
        let content = BASE64_STANDARD.encode(bytes);
        format!("<script type=\"text/plain\" data-file=\"{slot}\" data-name=\"{name}\">{content}</script>\n")
    };
    PAGE.replacen(PLACE, &files.iter().map(holder).collect::<String>(), 1)
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { report, model_id, full, embedded, bytes } = self;
        let kilobytes = bytes.div_ceil(1000);
        writeln!(
            f,
            "report     {} ({kilobytes} kB): verifies itself when it is opened in a browser",
            report.display()
        )?;
        if !embedded {
            writeln!(f, "files      too large to be in it: send verifier file and proof beside it")?;
        }
        if !full {
            writeln!(f, "layers     some: nothing follows for the model's output, and the page says so")?;
        }
        write!(f, "model id   {model_id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_in_the_page_once() {
        assert_eq!(PAGE.matches(PLACE).count(), 1);
        let page = with_files(&[("proof", Path::new("a/</script>\"x.nanozk"), vec![0, 1, 255])]);
        assert!(page.contains("data-file=\"proof\" data-name=\"script__x.nanozk\">AAH/</script>"), "{}", &page[..2000]);
        assert!(!page.contains(PLACE));
    }

    /// A report works offline, from a disk: nothing is loaded.
    #[test]
    fn the_page_loads_nothing() {
        for part in ["src=\"", "href=\"/", "href=\"http", "@import", "url(http"] {
            assert!(!PAGE.contains(part), "{part}");
        }
    }
}
