//! Which mutant is at work, in a build that has them all.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// Names the mutant at work: `site` or `site#part`, either of them with `@scope`.
pub const PLANTED: &str = "NANOZK_MUTANT";

/// Names the file to which the mutants met are added, one a line.
pub const SEEN: &str = "NANOZK_MUTANTS_SEEN";

/// A site, a part of it, and the scope that it was met in.
type Met = (&'static str, u32, &'static str);

struct Work {
    site: String,
    part: u32,
    scope: String,
    seen: Option<Mutex<(File, HashSet<Met>)>>,
}

thread_local! {
    static SCOPE: Cell<&'static str> = const { Cell::new("") };
    static CALLER: Cell<&'static str> = const { Cell::new("") };
}

fn work() -> &'static Work {
    static WORK: OnceLock<Work> = OnceLock::new();
    WORK.get_or_init(|| {
        let name = std::env::var(PLANTED).unwrap_or_default();
        let (rest, scope) = name.split_once('@').unwrap_or((&name, ""));
        let (site, part) = rest.split_once('#').unwrap_or((rest, "0"));
        let seen = std::env::var(SEEN).ok().map(|path| File::options().create(true).append(true).open(path));
        Work {
            site: site.into(),
            part: part.parse().expect("a part is a number"),
            scope: scope.into(),
            seen: seen.map(|file| Mutex::new((file.expect("a file of mutants met"), HashSet::new()))),
        }
    })
}

/// Whether one part of a site is planted.
fn part_is_planted(site: &'static str, part: u32) -> bool {
    let work = work();
    let scope = SCOPE.get();
    if let Some(seen) = &work.seen {
        let (file, known) = &mut *seen.lock().unwrap_or_else(|error| error.into_inner());
        if known.insert((site, part, scope)) {
            // In one piece, for other processes write to the file too.
            file.write_all(format!("{site}#{part}@{scope}\n").as_bytes()).expect("a mutant met is written down");
        }
    }
    work.site == site && work.part == part && (work.scope.is_empty() || work.scope == scope)
}

/// Whether a site is planted.
pub fn is_planted(site: &'static str) -> bool {
    part_is_planted(site, 0)
}

/// The items without the one that is planted.
pub fn without<T>(site: &'static str, items: Vec<T>) -> Vec<T> {
    (0..).zip(items).filter(|(part, _)| !part_is_planted(site, *part)).map(|(_, item)| item).collect()
}

/// While it lives, what this thread meets belongs to a scope.
pub struct Scope(&'static str);

impl Scope {
    /// Begins a scope.
    pub fn new(name: &'static str) -> Self {
        Scope(SCOPE.replace(name))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        SCOPE.set(self.0);
    }
}

/// While it lives, what this thread calls may ask whether its caller is planted.
pub struct Caller(&'static str);

impl Caller {
    /// The call at a site.
    pub fn new(site: &'static str) -> Self {
        Caller(CALLER.replace(site))
    }

    /// Whether the site of the call is planted.
    pub fn is_planted() -> bool {
        is_planted(CALLER.get())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        CALLER.set(self.0);
    }
}
