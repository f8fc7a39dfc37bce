//! Errors of the library: one line each, with cause and way out.

use nanozk_plan::format::{FormatError, ReadError};
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {cause}; {}", path.display(), way_out(cause))]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// A nanozk file that cannot be used.
    #[error("{}: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: FormatError,
    },
    /// Compilation or input reading failed.
    #[error(transparent)]
    Compile(#[from] nanozk_compiler::error::CompileError),
    /// The integer model left its bounds.
    #[error("{0}")]
    Interpreter(#[from] nanozk_ir::int::interp::Error),
    /// What a part of nanozk refuses: its message names cause and way out.
    #[error("{}{cause}", of.as_ref().map(|of| format!("{of}: ")).unwrap_or_default())]
    Part {
        /// The file, layer or step that it is about.
        of: Option<String>,
        /// The refusal.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What is wrong, and what helps. In reports it stands as one text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {way_out}")]
pub struct Refusal {
    /// What is wrong.
    pub cause: String,
    /// What helps.
    pub way_out: String,
}

impl Refusal {
    /// A cause and a way out.
    pub fn new(cause: impl Display, way_out: impl Display) -> Self {
        Refusal { cause: cause.to_string(), way_out: way_out.to_string() }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Result of a library call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An I/O error at `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |cause| Error::Io { path: path.into(), cause }
    }

    /// A format error of `path`.
    pub fn format(path: &Path) -> impl FnOnce(FormatError) -> Self + '_ {
        move |cause| Error::Format { path: path.into(), cause }
    }

    /// A file that was read in parts.
    pub fn read(path: &Path) -> impl FnOnce(ReadError) -> Self + '_ {
        move |cause| match cause {
            ReadError::Io(cause) => Error::io(path)(cause),
            ReadError::Format(cause) => Error::format(path)(cause),
        }
    }

    /// What a part of nanozk refuses.
    pub fn part(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::Part { of: None, cause: cause.into() }
    }

    /// What a part of nanozk refuses of a file, a layer or a step.
    pub fn part_of<E>(of: impl Display) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| Error::Part { of: Some(of.to_string()), cause: cause.into() }
    }

    /// A cause and a way out.
    pub fn refused(cause: impl Display, way_out: impl Display) -> Self {
        Refusal::new(cause, way_out).into()
    }
}

/// `text` on one line, control characters of hostile names removed.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect()
}

fn way_out(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match cause.kind() {
        NotFound => "check the path",
        PermissionDenied | ReadOnlyFilesystem => "choose a place you may write to, or change the permissions",
        StorageFull | QuotaExceeded => "free some space or choose another place",
        FileTooLarge => "raise the limit on file sizes (`ulimit -f`) or choose another place",
        IsADirectory => "name a file, not a directory",
        NotADirectory => "name a directory, not a file",
        AlreadyExists => "choose another name",
        _ => "check the file and the disk",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn errors_fit_on_one_line() {
        assert_eq!(super::one_line("a\n  b\u{1b}[31m\tc"), "a b[31m c");
    }
}
