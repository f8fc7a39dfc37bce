//! Proving as jobs: the layers of one or many answers, each of which any process can prove that sees the run folder.
//!
//! `split` commits to every answer and writes one job per layer; `prove` turns a job into a part; `join` checks the parts
//! and makes proofs of them. `docs/distributed.md` states the contract. The rules that keep masks from serving twice are
//! those of [`crate::commit::secret`]: a job has one part, the first that is stored, and all others are discarded.

mod content;
mod folder;
pub mod join;
pub mod prove;
pub mod split;
pub mod status;

/// Numbers in ascending order as `3,5-7`, which `sbatch --array` reads too.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ranges() {
        let cases: [(&[usize], &str); 4] = [(&[], ""), (&[4], "4"), (&[0, 1, 2], "0-2"), (&[1, 3, 4, 9], "1,3-4,9")];
        for (numbers, text) in cases {
            assert_eq!(super::ranges(numbers), text);
        }
    }
}
