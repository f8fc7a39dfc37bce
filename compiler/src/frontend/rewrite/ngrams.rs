//! `TfIdfVectorizer`: how often sequences of a list occur in a list of whole numbers.

use super::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use crate::frontend::refusal::{incorrect, missing, refuse};
use tract_onnx::pb::NodeProto;

/// Most comparisons of elements with those of sequences.
const MAX_COMPARED: usize = 1 << 22;

pub(super) fn tf_idf(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let pool = node.ints("pool_int64s");
    if pool.is_empty() {
        return Err(refuse("its sequences are texts, and a circuit has none", "encode them as numbers first"));
    }
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let bad = || incorrect("its sequences do not fit its columns");
    let (rows, length) = match shape[..] {
        [length] => (1, length),
        [rows, length] => (rows, length),
        _ => return Err(incorrect(format!("its input has the shape {shape:?}"))),
    };
    let count = |name: &str, default: i64| usize::try_from(node.int(name, default)).map_err(|_| bad());
    let (least, most) = (count("min_gram_length", 1)?, count("max_gram_length", 1)?);
    let spacings = count("max_skip_count", 0)?.min(length);
    if rows * length * pool.len() > MAX_COMPARED {
        return Err(refuse(format!("it compares {length} numbers with {}", pool.len()), "make its input shorter"));
    }
    let mut values = pool.to_vec();
    values.sort_unstable();
    values.dedup();
    let place = |v: &i64| values.binary_search(v).map(|i| i as i64).map_err(|_| bad());
    let number = make.as_float("numbers", x);
    let number = make.reshape("column", &number, &[rows as i64, length as i64, 1])?;
    let named: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let named = make.floats("values", &named, &[values.len()])?;
    let marks = make.op("equal", "Equal", &[&number, &named], Vec::new());
    let marks = make.as_float("marks", &marks);
    // Sequences of n elements, from n = 1, stand behind each other in the pool.
    let starts: Vec<usize> =
        node.ints("ngram_counts").iter().map(|&s| usize::try_from(s)).collect::<Result<_, _>>().map_err(|_| bad())?;
    let mut counts: Vec<String> = Vec::new();
    for (i, &start) in starts.iter().enumerate() {
        let n = i + 1;
        let end = starts.get(n).copied().unwrap_or(pool.len());
        let sequences: Vec<&[i64]> = pool.get(start..end).ok_or_else(bad)?.chunks(n).collect();
        if sequences.last().is_some_and(|s| s.len() != n) {
            return Err(bad());
        }
        if sequences.is_empty() {
            continue;
        }
        let mut sum: Option<String> = None;
        // Elements side by side, or with up to `spacings` others between each two.
        let steps = if n == 1 { 1..2 } else { 1..spacings + 2 };
        for step in steps.filter(|step| (least..=most).contains(&n) && (n - 1) * step < length) {
            let windows = length - (n - 1) * step;
            let mut found: Option<String> = None;
            for k in 0..n {
                let part = format!("of{n}_by{step}_at{k}");
                let from = (k * step) as i64;
                let here = make.slice(&format!("{part}_marks"), &marks, 1, from, from + windows as i64)?;
                let places = sequences.iter().map(|s| place(&s[k])).collect::<Rewritten<Vec<_>>>()?;
                let places = make.list(&format!("{part}_places"), &places)?;
                let here = make.gather(&part, &here, &places, 2);
                found = Some(match found {
                    Some(found) => make.mul(&format!("{part}_found"), &found, &here),
                    None => here,
                });
            }
            let found = found.ok_or_else(bad)?;
            let here = make.reduce(&format!("of{n}_by{step}"), "ReduceSum", &found, &[1])?;
            sum = Some(match sum {
                Some(sum) => make.add(&format!("of{n}_to{step}"), &sum, &here),
                None => here,
            });
        }
        counts.push(match sum {
            Some(sum) => make.reshape(&format!("of{n}"), &sum, &[rows as i64, sequences.len() as i64])?,
            None => {
                make.floats(&format!("of{n}_none"), &vec![0.0; rows * sequences.len()], &[rows, sequences.len()])?
            }
        });
    }
    let columns = node.ints("ngram_indexes");
    let width = columns.iter().max().map_or(0, |&most| most + 1);
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    let counts = make.concat("counts", &counts, 1);
    let counts = match &node.text("mode")[..] {
        "IDF" => {
            let one = make.scalar("one", 1.0)?;
            make.op("whether", "Min", &[&counts, &one], Vec::new())
        }
        "" | "TF" | "TFIDF" => counts,
        other => return Err(incorrect(format!("its mode \"{other}\" is not known"))),
    };
    let weighed = matches!(&node.text("mode")[..], "IDF" | "TFIDF") && !node.floats("weights").is_empty();
    let weight = |column: usize| if weighed { node.floats("weights").get(column).copied() } else { Some(1.0) };
    let width = usize::try_from(width).ok().filter(|&w| w > 0 && columns.len() * w <= MAX_COMPARED).ok_or_else(bad)?;
    let mut table = vec![0f32; columns.len() * width];
    for (row, &column) in columns.iter().enumerate() {
        let column = usize::try_from(column).map_err(|_| bad())?;
        table[row * width + column] = weight(column).ok_or_else(bad)?;
    }
    let table = make.floats("weights", &table, &[columns.len(), width])?;
    let sums = make.matmul("sums", &counts, &table);
    let dims = make
        .list("shape", &[&shape[..shape.len() - 1], &[width]].concat().iter().map(|&d| d as i64).collect::<Vec<_>>())?;
    make.last("Reshape", &[&sums, &dims], y, Vec::new());
    Ok(Outcome::Replaced)
}
