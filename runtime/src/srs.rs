//! Making, importing and choosing a structured reference string.

use crate::storage::{self, KeyDir, Secrecy};
use crate::{Error, Progress, Result, hex};
use nanozk_proof::srs::{EMBEDDED_K, MAX_K, STRONGEST_K, Srs, SrsError};
use rand_core::OsRng;
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const _: () = assert!(
    EMBEDDED_K == nanozk_compiler::config::EMBEDDED_K && STRONGEST_K == nanozk_compiler::config::STRONGEST_K,
    "the compiler knows what the SRS serves"
);

/// What an SRS file is.
#[derive(Clone, Debug, Serialize)]
pub struct SrsReport {
    /// The file.
    pub file: PathBuf,
    /// Circuits of up to `2^k` rows.
    pub k: u32,
    /// Identity, the same for all sizes of one SRS.
    pub id: String,
    /// Name of the ceremony it comes from, if that is a known one.
    pub ceremony: Option<&'static str>,
    /// True when it matches no known ceremony: proofs made with it are refused unless asked for.
    pub unsafe_srs: bool,
    /// Size of the file.
    pub bytes: u64,
    /// Time spent.
    pub seconds: f64,
}

impl std::fmt::Display for SrsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "SRS        {}", self.file.display())?;
        writeln!(f, "rows       up to 2^{}", self.k)?;
        writeln!(f, "id         {}", self.id)?;
        writeln!(f, "origin     {}", origin(self.ceremony))?;
        write!(f, "size       {:.1} MB ({:.2} s)", self.bytes as f64 / 1e6, self.seconds)
    }
}

/// One line about the origin of an SRS.
pub fn origin(ceremony: Option<&str>) -> String {
    match ceremony {
        Some(name) => format!("ceremony {name}"),
        None => "UNSAFE: no known ceremony; whoever made it can forge proofs".into(),
    }
}

/// Generates an SRS on this machine.
///
/// # Errors
/// A size beyond the limit; a file that cannot be written.
pub fn generate(k: u32, out: &Path, progress: &dyn Progress) -> Result<SrsReport> {
    let start = Instant::now();
    storage::check_writable(out)?;
    progress.stage("generating the SRS", 1);
    let srs = fresh(k)?;
    write(&srs, out)?;
    report(&srs, out, start)
}

/// Checks a ceremony file and stores it in the form that is read fast: all of it, or what circuits of up to `2^k` rows need.
///
/// # Errors
/// A file that is no ceremony's, or inconsistent, or too small.
pub fn import(file: &Path, k: Option<u32>, out: &Path, progress: &dyn Progress) -> Result<SrsReport> {
    let start = Instant::now();
    storage::check_writable(out)?;
    progress.stage("checking the ceremony file", 1);
    let reader = BufReader::new(File::open(file).map_err(Error::io(file))?);
    let srs = Srs::import(reader, k).map_err(|cause| match cause {
        SrsError::TooLarge { k: found, .. } if Some(found) != k => Error::refused(
            format!("{}: not a ceremony file", file.display()),
            "an SRS file made by nanozk needs no import, give it to `nanozk setup --srs`",
        ),
        cause => at(file)(cause),
    })?;
    write(&srs, out)?;
    report(&srs, out, start)
}

/// Reads an SRS file and tells what it is.
///
/// # Errors
/// As [`read`].
pub fn inspect(file: &Path) -> Result<SrsReport> {
    let start = Instant::now();
    report(&read(file)?, file, start)
}

/// Reads an SRS file.
///
/// # Errors
/// A file that is no SRS.
pub fn read(path: &Path) -> Result<Srs> {
    let file = File::open(path).map_err(Error::io(path))?;
    Srs::read(&mut BufReader::with_capacity(1 << 20, file)).map_err(at(path))
}

/// Where `setup` took an SRS from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The file that the caller named.
    File,
    /// The key directory, where an earlier `setup` left it.
    Keys,
    /// This program, which holds those of public ceremonies for small circuits.
    Embedded,
    /// Made on this machine.
    Local,
}

/// The SRS for keys of up to `2^k` rows: the given file; what the key directory holds already, if it comes from a known
/// ceremony; the one in this program; whatever the directory holds; a local one.
///
/// # Errors
/// A given SRS that is no SRS or too small.
pub fn choose(given: Option<&Path>, keys: &KeyDir, k: u32, progress: &dyn Progress) -> Result<(Srs, Source)> {
    if let Some(path) = given {
        progress.stage("reading the SRS", 1);
        let srs = read(path)?;
        if srs.k() < k {
            return Err(Error::refused(
                format!("{}: the SRS serves 2^{} rows, the model needs 2^{k}", path.display(), srs.k()),
                format!("use an SRS of k >= {k}, or compile with `--max-k {}`", srs.k()),
            ));
        }
        return Ok((srs.truncated(k).map_err(at(path))?, Source::File));
    }
    let path = keys.srs();
    let kept = if path.exists() { Some(read(&path)?).filter(|srs| srs.k() >= k) } else { None };
    match kept {
        Some(srs) if srs.verifier_part().ceremony().is_some() || k > EMBEDDED_K => {
            Ok((srs.truncated(k).map_err(at(&path))?, Source::Keys))
        }
        _ if k <= EMBEDDED_K => {
            progress.stage("reading the SRS of this program", 1);
            Ok((Srs::embedded(k).map_err(Error::part)?, Source::Embedded))
        }
        _ => {
            progress.stage("generating a local SRS", 1);
            Ok((fresh(k)?, Source::Local))
        }
    }
}

/// log2 of the number of public powers of the SRS that `setup` takes for `2^k` rows when it is given none.
pub fn usual_log_powers(k: u32) -> u32 {
    Srs::embedded_ceremony(k).map_or(MAX_K, |ceremony| ceremony.log_powers)
}

fn fresh(k: u32) -> Result<Srs> {
    Srs::generate_unsafe(k, &mut OsRng).map_err(Error::part)
}

/// Writes an SRS file.
///
/// # Errors
/// The file cannot be written.
pub fn write(srs: &Srs, path: &Path) -> Result<()> {
    storage::write_with(path, Secrecy::Open, |file| write_to(srs, file))
}

/// Writes the content of an SRS file.
///
/// # Errors
/// The file cannot be written.
pub fn write_to(srs: &Srs, file: &mut std::fs::File) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    match srs.write(&mut writer) {
        Err(SrsError::Io(cause)) => return Err(cause),
        Err(other) => return Err(std::io::Error::other(other)),
        Ok(()) => {}
    }
    writer.flush()
}

fn at(path: &Path) -> impl FnOnce(SrsError) -> Error + '_ {
    move |cause| match cause {
        SrsError::Io(cause) => Error::io(path)(cause),
        other => Error::part_of(path.display())(other),
    }
}

fn report(srs: &Srs, file: &Path, start: Instant) -> Result<SrsReport> {
    let ceremony = srs.verifier_part().ceremony().map(|c| c.name);
    Ok(SrsReport {
        file: file.into(),
        k: srs.k(),
        id: hex(&srs.id()),
        ceremony,
        unsafe_srs: ceremony.is_none(),
        bytes: std::fs::metadata(file).map_err(Error::io(file))?.len(),
        seconds: start.elapsed().as_secs_f64(),
    })
}
