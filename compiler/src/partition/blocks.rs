//! Blocks that repeat without standing side by side.

use nanozk_ir::float::NodeId;
use std::ops::Range;

/// Pieces of the graph in order, and which of them must stay together.
pub(super) enum Region {
    /// A layer of its own.
    Layer(Vec<NodeId>),
    /// Pieces `from..to` outside of any run, to be merged as their size allows.
    Loose(Range<usize>),
}

/// Cuts loose pieces so that every sequence of pieces that `worth` accepts and that occurs again, as a loose one or as
/// a layer of a run, becomes a layer.
pub(super) fn split(
    regions: Vec<Region>,
    pieces: &[Vec<NodeId>],
    signatures: &[String],
    worth: &dyn Fn(&[Vec<NodeId>]) -> bool,
) -> Vec<Region> {
    let mut regions = regions;
    // Layers of runs, by the pieces they hold.
    let mut at = 0;
    let mut blocks: Vec<&[String]> = Vec::new();
    for region in &regions {
        let from = at;
        match region {
            Region::Loose(range) => at = range.end,
            Region::Layer(nodes) => {
                let mut held = 0;
                while held < nodes.len() {
                    held += pieces[at].len();
                    at += 1;
                }
                if worth(&pieces[from..at]) && !blocks.contains(&&signatures[from..at]) {
                    blocks.push(&signatures[from..at]);
                }
            }
        }
    }
    for block in blocks {
        regions = extract(regions, pieces, signatures, block);
    }
    while let Some(block) = most_repeated(&regions, pieces, signatures, worth) {
        regions = extract(regions, pieces, signatures, &signatures[block]);
    }
    regions
}

/// Makes a layer of every loose occurrence of `block`.
fn extract(regions: Vec<Region>, pieces: &[Vec<NodeId>], signatures: &[String], block: &[String]) -> Vec<Region> {
    let mut out = Vec::new();
    for region in regions {
        let Region::Loose(range) = region else {
            out.push(region);
            continue;
        };
        let mut from = range.start;
        for start in occurrences(signatures, &range, block) {
            if from < start {
                out.push(Region::Loose(from..start));
            }
            from = start + block.len();
            out.push(Region::Layer(pieces[start..from].concat()));
        }
        if from < range.end {
            out.push(Region::Loose(from..range.end));
        }
    }
    out
}

/// Starts of the occurrences of `block` in `range`, first to last, none overlapping another.
fn occurrences(signatures: &[String], range: &Range<usize>, block: &[String]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for start in range.start..(range.end + 1).saturating_sub(block.len()).max(range.start) {
        let free = found.last().is_none_or(|last| last + block.len() <= start);
        if free && signatures[start..start + block.len()] == *block {
            found.push(start);
        }
    }
    found
}

/// The sequence of loose pieces that occurs more than once and covers most pieces; of equals the first.
fn most_repeated(
    regions: &[Region],
    pieces: &[Vec<NodeId>],
    signatures: &[String],
    worth: &dyn Fn(&[Vec<NodeId>]) -> bool,
) -> Option<Range<usize>> {
    let loose = || {
        regions.iter().filter_map(|p| match p {
            Region::Loose(range) => Some(range),
            Region::Layer(_) => None,
        })
    };
    let mut best: Option<(usize, Range<usize>)> = None;
    for range in loose() {
        for (from, to) in range.clone().flat_map(|from| (from + 1..=range.end).map(move |to| (from, to))) {
            let block = &signatures[from..to];
            let count: usize = loose().map(|r| occurrences(signatures, r, block).len()).sum();
            if count > 1
                && worth(&pieces[from..to])
                && best.as_ref().is_none_or(|(most, _)| count * block.len() > *most)
            {
                best = Some((count * block.len(), from..to));
            }
        }
    }
    best.map(|(_, range)| range)
}
