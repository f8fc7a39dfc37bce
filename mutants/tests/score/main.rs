//! Plants the mutants one at a time and counts those that a test notices.

mod equivalent;
mod rules;
mod run;
mod tree;

use nanozk_mutants::Mutant;
use rules::Kind;
use std::collections::{BTreeMap, BTreeSet};
use tree::Planted;

/// The mutants of all sites: those that tests meet, by part and scope, and one for each site that none meets.
struct Names<'p> {
    planted: &'p BTreeMap<usize, Planted>,
}

impl Names<'_> {
    fn site(&self, mutant: &str) -> Option<&Planted> {
        self.planted.get(&mutant.split(['#', '@']).next()?.parse().ok()?)
    }

    /// A mutant as it is counted: gadgets' constraints for each op that states them.
    fn counted(&self, met: &str) -> String {
        let site = self.site(met);
        let by_op = site.is_some_and(|p| matches!(p.site.kind, Kind::Relation | Kind::Gate | Kind::Lookup));
        let (name, scope) = met.split_once('@').unwrap_or((met, ""));
        if by_op && !scope.is_empty() { met.to_string() } else { name.to_string() }
    }

    /// Whether it is in what reads and verifies files, not in what makes them.
    fn is_of_readers(&self, mutant: &str) -> bool {
        self.site(mutant).is_none_or(|p| ["plan check", "statement", "verifier"].contains(&p.area))
    }

    fn sort(&self, mutant: &str) -> String {
        self.site(mutant).map_or("by hand".into(), |p| format!("{}: {:?}", p.area, p.site.kind))
    }

    fn describe(&self, mutant: &str) -> String {
        let site = self
            .site(mutant)
            .map(|p| format!("{}, {}:{} {:?} `{}`", p.area, p.file, p.site.line, p.site.kind, p.site.code));
        format!("{mutant} {}", site.unwrap_or_default())
    }
}

/// Whether a part of a list stands for one more limb: the third stands for all that follow.
fn is_repeated(name: &str) -> bool {
    let part = name.split(['#', '@']).nth(1).and_then(|part| part.parse::<u32>().ok());
    part.is_some_and(|part| part > 2)
}

/// `NANOZK_MUTANTS=TEXT` plants those alone whose area, file, line, kind or code has the text.
#[test]
#[ignore = "builds the workspace once more, and runs tests for each of a thousand mutants: hours"]
fn every_mutant_is_noticed() {
    let root = tree::root();
    let work = root.join("target/mutants");
    let planted = tree::make(&root, &work.join("tree"));
    let names = Names { planted: &planted };
    let mut tests = run::survey(run::build(&work.join("tree"), &work.join("build")), &work.join("met"));
    for test in &mut tests {
        test.meets = test.meets.iter().map(|met| names.counted(met)).collect();
    }
    let met: BTreeSet<String> = tests.iter().flat_map(|test| test.meets.iter().cloned()).collect();
    let sites: BTreeSet<&str> = met.iter().filter_map(|met| met.split(['#', '@']).next()).collect();
    let ids = planted.keys().map(|id| id.to_string()).chain(Mutant::ALL.iter().map(|m| m.name().to_string()));
    let unmet = ids.filter(|id| !sites.contains(id.as_str()));
    let wanted = std::env::var("NANOZK_MUTANTS").unwrap_or_default();
    let chosen = met
        .iter()
        .filter(|name| !is_repeated(name))
        .cloned()
        .chain(unmet)
        .filter(|mutant| names.describe(mutant).contains(&wanted));
    let (mut counted, mut left_out) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for mutant in chosen {
        match names.site(&mutant).and_then(equivalent::reason) {
            Some(why) => *left_out.entry(why).or_default() += 1,
            None => counted.push(mutant),
        }
    }

    let noticed = run::notice(
        counted,
        &tests,
        |mutant| names.site(mutant).map_or("", |p| &p.file),
        |mutant| names.is_of_readers(mutant),
        &work.join("noticed"),
    );
    let mut score = BTreeMap::<String, [usize; 2]>::new();
    for (mutant, by) in &noticed {
        let [hits, all] = score.entry(names.sort(mutant)).or_default();
        *hits += usize::from(by.is_some());
        *all += 1;
    }
    score.iter().for_each(|(sort, [hits, all])| println!("{sort}: {hits} of {all}"));
    left_out.iter().for_each(|(why, count)| println!("left out, {count}: {why}"));
    let survivors: Vec<String> =
        noticed.iter().filter(|(_, by)| by.is_none()).map(|(mutant, _)| names.describe(mutant)).collect();
    println!("{} of {} mutants are noticed", noticed.len() - survivors.len(), noticed.len());
    assert!(survivors.is_empty(), "no test notices {survivors:#?}");
}
