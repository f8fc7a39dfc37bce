//! Decision trees as the file lists them: tests of features, and leaves with the tests that lead to them.

use crate::frontend::refusal::{Refusal, incomplete, refuse};
use crate::frontend::rewrite::{net::Rewritten, node::Parts, tensor};
use std::collections::{HashMap, HashSet};
use tract_onnx::{pb::NodeProto, tract_hir::internal::Tensor};

/// Most tests on the ways to all leaves together.
const MAX_TESTS: usize = 1 << 22;

/// How a test compares a feature with its threshold; the other three comparisons are these with the branches swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Compare {
    Greater,
    Less,
    Equal,
}

impl Compare {
    /// The ONNX operator.
    pub fn op(self) -> &'static str {
        match self {
            Compare::Greater => "Greater",
            Compare::Less => "Less",
            Compare::Equal => "Equal",
        }
    }
}

/// A test of a feature. Equal tests of all trees are one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    pub compare: Compare,
    pub feature: i64,
    pub threshold: f32,
}

/// A leaf: the tests on the way to it, with the outcome of each, and what it adds to which score.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    pub way: Vec<(usize, bool)>,
    pub weights: Vec<(usize, f32)>,
}

/// All trees of a model.
#[derive(Debug, Default)]
pub(super) struct Forest {
    pub tests: Vec<Test>,
    pub leaves: Vec<Leaf>,
    pub trees: usize,
    known: HashMap<(Compare, i64, u32), usize>,
}

/// A place in a tree while it is walked.
enum Branch {
    Inner { test: Test, inverted: bool, yes: usize, no: usize },
    Leaf(Vec<(usize, f32)>),
}

impl Forest {
    /// The trees of `TreeEnsembleRegressor` and `TreeEnsembleClassifier`, whose leaves `kind` ("target", "class")
    /// describes.
    pub fn of_nodes(node: &NodeProto, kind: &str) -> Rewritten<Forest> {
        let bad = |what: &str| incomplete(format!("its trees are not well formed ({what})"));
        let trees = node.ints("nodes_treeids");
        let lists =
            ["nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids"].map(|n| node.ints(n));
        let (values, modes) = (node.floats("nodes_values"), node.texts("nodes_modes"));
        if lists.iter().any(|l| l.len() != trees.len()) || values.len() != trees.len() || modes.len() != trees.len() {
            return Err(bad("lists of different lengths"));
        }
        let [ids, features, yes, no] = lists;
        let places: HashMap<(i64, i64), usize> =
            trees.iter().zip(ids).enumerate().map(|(i, (&t, &n))| ((t, n), i)).collect();
        let mut weights: HashMap<(i64, i64), Vec<(usize, f32)>> = HashMap::new();
        let scores = node.ints(&format!("{kind}_ids")).iter().zip(node.floats(&format!("{kind}_weights")));
        let owners = node.ints(&format!("{kind}_treeids")).iter().zip(node.ints(&format!("{kind}_nodeids")));
        for ((&tree, &leaf), (&score, &weight)) in owners.zip(scores) {
            let score = usize::try_from(score).map_err(|_| bad("a negative score"))?;
            weights.entry((tree, leaf)).or_default().push((score, weight));
        }
        let branch = |place: usize| {
            let tree = trees[place];
            if modes[place] == "LEAF" {
                return Ok(Branch::Leaf(weights.get(&(tree, ids[place])).cloned().unwrap_or_default()));
            }
            let (compare, inverted) = mode(&modes[place])?;
            let child = |id: i64| places.get(&(tree, id)).copied().ok_or_else(|| bad("a missing node"));
            let test = Test { compare, feature: features[place], threshold: values[place] };
            Ok(Branch::Inner { test, inverted, yes: child(yes[place])?, no: child(no[place])? })
        };
        let mut forest = Forest::default();
        let mut seen = HashSet::new();
        for (place, tree) in trees.iter().enumerate() {
            if seen.insert(tree) {
                forest.walk(place, trees.len(), &branch)?;
            }
        }
        Ok(forest)
    }

    /// The trees of `TreeEnsemble` (version 5 of the domain), whose tensors are given as read.
    pub fn of_ensemble(node: &NodeProto, splits: &Tensor, modes: &Tensor, weights: &Tensor) -> Rewritten<Forest> {
        let bad = |what: &str| incomplete(format!("its trees are not well formed ({what})"));
        let read = |e: tract_onnx::prelude::TractError| bad(&e.to_string());
        let (splits, weights) = (tensor::floats(splits).map_err(read)?, tensor::floats(weights).map_err(read)?);
        let modes = tensor::integers(modes).map_err(read)?;
        let names =
            ["nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs"];
        let [features, yes, no, yes_leaf, no_leaf] = names.map(|n| node.ints(n));
        let targets = node.ints("leaf_targetids");
        let nodes = splits.len();
        if modes.len() != nodes
            || [features, yes, no, yes_leaf, no_leaf].iter().any(|l| l.len() != nodes)
            || targets.len() != weights.len()
        {
            return Err(bad("lists of different lengths"));
        }
        // Inner nodes come first, leaves behind them.
        let place = |id: i64, leaf: i64| {
            let limit = if leaf != 0 { targets.len() } else { nodes };
            let id = usize::try_from(id).ok().filter(|&i| i < limit).ok_or_else(|| bad("a missing node"))?;
            Ok::<usize, Refusal>(if leaf != 0 { nodes + id } else { id })
        };
        let branch = |i: usize| {
            if let Some(leaf) = i.checked_sub(nodes) {
                let score = usize::try_from(targets[leaf]).map_err(|_| bad("a negative score"))?;
                return Ok(Branch::Leaf(vec![(score, weights[leaf])]));
            }
            let name =
                ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"];
            let name =
                usize::try_from(modes[i]).ok().and_then(|m| name.get(m)).ok_or_else(|| bad("an unknown mode"))?;
            let (compare, inverted) = mode(name)?;
            let test = Test { compare, feature: features[i], threshold: splits[i] };
            let (yes, no) = (place(yes[i], yes_leaf[i])?, place(no[i], no_leaf[i])?);
            Ok(Branch::Inner { test, inverted, yes, no })
        };
        let mut forest = Forest::default();
        for &root in node.ints("tree_roots") {
            forest.walk(place(root, 0)?, nodes + targets.len(), &branch)?;
        }
        Ok(forest)
    }

    /// Adds the tree at a root.
    fn walk(&mut self, root: usize, limit: usize, branch: &dyn Fn(usize) -> Rewritten<Branch>) -> Rewritten<()> {
        self.trees += 1;
        let mut open: Vec<(usize, Vec<(usize, bool)>)> = vec![(root, Vec::new())];
        let mut seen = 0usize;
        let mut total = 0usize;
        while let Some((place, way)) = open.pop() {
            seen += 1;
            total = total.saturating_add(way.len());
            if seen > limit || total > MAX_TESTS {
                return Err(incomplete("its nodes are not a tree, or too many"));
            }
            match branch(place)? {
                Branch::Leaf(weights) => self.leaves.push(Leaf { way, weights }),
                Branch::Inner { test, inverted, yes, no } => {
                    let test = self.test(test);
                    for (next, outcome) in [(no, inverted), (yes, !inverted)] {
                        let way = way.iter().copied().chain([(test, outcome)]).collect();
                        open.push((next, way));
                    }
                }
            }
        }
        Ok(())
    }

    /// The place of a test.
    fn test(&mut self, test: Test) -> usize {
        let tests = &mut self.tests;
        *self.known.entry((test.compare, test.feature, test.threshold.to_bits())).or_insert_with(|| {
            tests.push(test);
            tests.len() - 1
        })
    }
}

/// The comparison of a mode, and whether its branches are swapped.
fn mode(name: &str) -> Rewritten<(Compare, bool)> {
    Ok(match name {
        "BRANCH_LEQ" => (Compare::Greater, true),
        "BRANCH_GT" => (Compare::Greater, false),
        "BRANCH_LT" => (Compare::Less, false),
        "BRANCH_GTE" => (Compare::Less, true),
        "BRANCH_EQ" => (Compare::Equal, false),
        "BRANCH_NEQ" => (Compare::Equal, true),
        other => {
            return Err(refuse(format!("a test of the kind {other} is not supported"), "train the model without it"));
        }
    })
}
