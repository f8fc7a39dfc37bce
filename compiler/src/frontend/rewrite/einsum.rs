//! `Einsum` along diagonals, and of more than two factors: diagonals are taken first, factors multiplied two at a time.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use crate::frontend::refusal::{incorrect, lacks};
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;

/// A factor: its value, a letter for each of its axes, and their lengths.
struct Factor {
    value: String,
    letters: Vec<char>,
    shape: Vec<usize>,
}

pub(super) fn einsum(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let y = node.out(0).ok_or_else(|| lacks("an output"))?;
    let equation: String = node.text("equation").split_whitespace().collect();
    let (left, right) = equation.split_once("->").map_or((&equation[..], None), |(l, r)| (l, Some(r)));
    let terms: Vec<&str> = left.split(',').collect();
    let twice = |term: &&str| term.chars().any(|c| c != '.' && term.matches(c).count() > 1);
    // tract takes a result without axes for one that is not named.
    let whole = right == Some("");
    if terms.len() <= 2 && !whole && !terms.iter().any(twice) {
        return Ok(Outcome::Kept);
    }
    let bad = || incorrect(format!("its equation {equation} does not fit its inputs"));
    if terms.len() != node.input.len() {
        return Err(bad());
    }
    let mut factors = Vec::new();
    for (term, value) in terms.iter().zip(&node.input) {
        let Some(shape) = make.shape(value) else { return Ok(Outcome::Later) };
        let named = term.chars().filter(|&c| c != '.').count();
        let letters = spelled(term, shape.len().checked_sub(named).ok_or_else(bad)?);
        if letters.len() != shape.len() {
            return Err(bad());
        }
        factors.push(diagonal(make, Factor { value: value.clone(), letters, shape })?);
    }
    let most = factors.iter().map(|f| f.letters.iter().filter(|c| c.is_ascii_digit()).count()).max().unwrap_or(0);
    let result: Vec<char> = match right {
        Some(right) => spelled(right, most),
        None => {
            let mut once: Vec<char> =
                left.chars().filter(|&c| c.is_alphabetic() && left.matches(c).count() == 1).collect();
            once.sort_unstable();
            spelled("...", most).into_iter().chain(once).collect()
        }
    };
    let all = factors.iter().flat_map(|f| f.letters.iter().chain(&result));
    let names = names(all.copied()).ok_or_else(bad)?;
    let text = |letters: &[char]| letters.iter().map(|c| names[c]).collect::<String>();
    while factors.len() > if result.is_empty() { 1 } else { 2 } {
        let (a, b) = (factors.remove(0), factors.remove(0));
        let last = factors.is_empty();
        let needed = |c: &char| last || result.contains(c) || factors.iter().any(|f| f.letters.contains(c));
        let mut letters: Vec<char> = a.letters.iter().chain(&b.letters).copied().filter(needed).collect();
        let mut seen = Vec::new();
        letters.retain(|c| {
            !seen.contains(c) && {
                seen.push(*c);
                true
            }
        });
        let equation = format!("{},{}->{}", text(&a.letters), text(&b.letters), text(&letters));
        let value = make.op("product", "Einsum", &[&a.value, &b.value], vec![node::text("equation", &equation)]);
        factors.insert(0, Factor { value, letters, shape: Vec::new() });
    }
    let terms: Vec<String> = factors.iter().map(|f| text(&f.letters)).collect();
    let values: Vec<&str> = factors.iter().map(|f| f.value.as_str()).collect();
    let equation = format!("{}->{}", terms.join(","), text(&result));
    match factors.len() == 1 && factors[0].letters == result {
        true => make.last("Identity", &values, y, Vec::new()),
        false if result.is_empty() => make.last("ReduceSum", &values, y, vec![node::int("keepdims", 0)]),
        false => make.last("Einsum", &values, y, vec![node::text("equation", &equation)]),
    }
    Ok(Outcome::Replaced)
}

/// The letters of a term; digits stand for the axes of its dots, from the last one.
fn spelled(term: &str, dots: usize) -> Vec<char> {
    let digits: String = (0..dots).rev().filter_map(|i| char::from_digit(i as u32, 10)).collect();
    term.replacen("...", &digits, 1).chars().filter(|&c| c != '.').collect()
}

/// A letter for each of these, which are letters or digits.
fn names(all: impl Iterator<Item = char>) -> Option<HashMap<char, char>> {
    let mut names = HashMap::new();
    for c in all {
        let next = char::from(b'a' + u8::try_from(names.len()).ok().filter(|&n| n < 26)?);
        names.entry(c).or_insert(next);
    }
    Some(names)
}

/// The factor with each letter once: of an axis that is there twice the diagonal.
fn diagonal(make: &mut Builder<'_, '_>, factor: Factor) -> Rewritten<Factor> {
    let Factor { value, letters, shape } = factor;
    let mut own: Vec<char> = Vec::new();
    let mut lengths = Vec::new();
    for (&c, &n) in letters.iter().zip(&shape) {
        match own.iter().position(|&o| o == c) {
            Some(at) if lengths[at] != n => return Err(incorrect("it takes a diagonal of no square")),
            Some(_) => (),
            None => {
                own.push(c);
                lengths.push(n);
            }
        }
    }
    if own.len() == letters.len() {
        return Ok(Factor { value, letters, shape });
    }
    let count: usize = lengths.iter().product();
    let place = |flat: usize| {
        let (mut index, mut rest) = (vec![0; own.len()], flat);
        for a in (0..own.len()).rev() {
            index[a] = rest % lengths[a];
            rest /= lengths[a];
        }
        let at = |c: &char| own.iter().position(|o| o == c).map_or(0, |a| index[a]);
        letters.iter().zip(&shape).fold(0, |flat, (c, n)| flat * n + at(c))
    };
    let places: Vec<Option<usize>> = (0..count).map(|flat| Some(place(flat))).collect();
    let value = make.pick("diagonal", &value, &places, &lengths)?;
    Ok(Factor { value, letters: own, shape: lengths })
}
