//! Probabilities of many classes from those of pairs.

use crate::frontend::rewrite::{builder::Builder, net::Rewritten};

/// The probabilities p of all classes, [rows, classes], from r_ij, that of class i rather than j, which the scores give.
///
/// They minimise sum over i, j of (r_ji p_i - r_ij p_j)^2 where their sum is 1: p is proportional to the solution of
/// (Q + 1 1') x = 1, with Q_ii = sum over j of r_ji^2 and Q_ij = -r_ij r_ji. That matrix is positive definite, so that
/// elimination needs no exchange of rows. (Wu, Lin, Weng: Probability estimates for multi-class classification by pairwise
/// coupling, 2004.)
pub(super) fn coupled(
    make: &mut Builder<'_, '_>,
    scores: &str,
    classes: usize,
    pairs: &[(usize, usize)],
    [a, b]: [&[f32]; 2],
) -> Rewritten<String> {
    let (k, n) = (classes, classes as i64);
    let negated = |values: &[f32]| values.iter().map(|v| -v).collect::<Vec<f32>>();
    let slope = make.floats("calibrations", &negated(a), &[a.len()])?;
    let shift = make.floats("calibration", &negated(b), &[b.len()])?;
    let scaled = make.mul("calibrated", scores, &slope);
    let inner = make.add("logits", &scaled, &shift);
    let first = make.op("pairwise", "Sigmoid", &[&inner], Vec::new());
    // r_ij as a matrix with zeros on its diagonal.
    let (mut spread, mut start) = (vec![0f32; pairs.len() * k * k], vec![0f32; k * k]);
    for (p, &(i, j)) in pairs.iter().enumerate() {
        spread[p * k * k + i * k + j] = 1.0;
        spread[p * k * k + j * k + i] = -1.0;
        start[j * k + i] = 1.0;
    }
    let spread = make.floats("spread", &spread, &[pairs.len(), k * k])?;
    let start = make.floats("start", &start, &[k * k])?;
    let moved = make.matmul("spread_pairs", &first, &spread);
    let flat = make.add("all_pairs", &moved, &start);
    let r = make.reshape("r", &flat, &[-1, n, n])?;
    let turned = make.transpose("r_turned", &r, &[0, 2, 1]);
    let products = make.mul("products_of_pairs", &r, &turned);
    let squares = make.mul("squares_of_pairs", &r, &r);
    let sums = make.reduce("sums_of_squares", "ReduceSum", &squares, &[1])?;
    let unit: Vec<f32> = (0..k * k).map(|at| f32::from(u8::from(at / k == at % k))).collect();
    let unit = make.floats("unit", &unit, &[k, k])?;
    let diagonal = make.mul("diagonal", &sums, &unit);
    let q = make.op("q", "Sub", &[&diagonal, &products], Vec::new());
    let one = make.scalar("one", 1.0)?;
    let matrix = make.add("matrix", &q, &one);
    // What is left of the matrix, and of the right side, below and behind each pivot.
    let mut left = matrix;
    let mut side: Option<String> = None;
    let mut rows = Vec::new();
    for i in 0..k {
        let (part, end) = (format!("pivot{i}"), (k - i) as i64);
        let pick = |make: &mut Builder<'_, '_>, name: &str, from: [i64; 2], to: [i64; 2]| {
            let rows = make.slice(&format!("{part}_{name}_rows"), &left, 1, from[0], to[0])?;
            make.slice(&format!("{part}_{name}"), &rows, 2, from[1], to[1])
        };
        let pivot = pick(make, "itself", [0, 0], [1, 1])?;
        let inverse = make.op(&format!("{part}_inverse"), "Reciprocal", &[&pivot], Vec::new());
        let right = match &side {
            Some(side) => {
                let first = make.slice(&format!("{part}_side"), side, 1, 0, 1)?;
                make.mul(&format!("{part}_right"), &first, &inverse)
            }
            None => inverse.clone(),
        };
        if i + 1 == k {
            rows.push((None, right));
            break;
        }
        let row = pick(make, "row", [0, 1], [1, end])?;
        let row = make.mul(&format!("{part}_scaled"), &row, &inverse);
        let column = pick(make, "column", [1, 0], [end, 1])?;
        let rest = pick(make, "rest", [1, 1], [end, end])?;
        let gone = make.mul(&format!("{part}_gone"), &column, &row);
        left = make.op(&format!("{part}_left"), "Sub", &[&rest, &gone], Vec::new());
        let before = match &side {
            Some(side) => make.slice(&format!("{part}_below"), side, 1, 1, end)?,
            None => one.clone(),
        };
        let gone = make.mul(&format!("{part}_side_gone"), &column, &right);
        side = Some(make.op(&format!("{part}_side_left"), "Sub", &[&before, &gone], Vec::new()));
        rows.push((Some(row), right));
    }
    // From the last one back: x_i = right - row x.
    let mut solution: Option<String> = None;
    for (i, (row, right)) in rows.into_iter().enumerate().rev() {
        solution = Some(match (solution, row) {
            (Some(x), Some(row)) => {
                let known = make.matmul(&format!("known{i}"), &row, &x);
                let next = make.op(&format!("solved{i}"), "Sub", &[&right, &known], Vec::new());
                make.concat(&format!("solved_from{i}"), &[&next, &x], 1)
            }
            _ => right,
        });
    }
    let solution = make.squeeze("solution", &solution.unwrap_or_default(), &[2])?;
    let sum = make.reduce("sum_of_solution", "ReduceSum", &solution, &[1])?;
    Ok(make.op("probabilities", "Div", &[&solution, &sum], Vec::new()))
}
