//! Formulas against exact enumeration, and draws against formulas.

use super::*;

/// Sets of `size` of the numbers below `of`, as bits.
fn sets(of: usize, size: usize) -> impl Iterator<Item = u32> {
    (0u32..1 << of).filter(move |s| s.count_ones() as usize == size)
}

/// Members of a set.
fn members(set: u32) -> Vec<usize> {
    (0..32).filter(|i| set >> i & 1 == 1).collect()
}

/// Sampford's weight of a set of layers of probabilities `p / parts`, none of them 0 or 1, as a whole number.
fn weight(p: &[u128], parts: u128, set: u32) -> u128 {
    let inside = |i: usize| set >> i & 1 == 1;
    let factor = |i: usize| if inside(i) { p[i] } else { parts - p[i] };
    let first = |i: usize| p[i] * (parts - p[i]) * (0..p.len()).filter(|j| *j != i).map(factor).product::<u128>();
    (0..p.len()).filter(|i| inside(*i)).map(first).sum()
}

/// All probabilities of `layers` layers over `parts`, without 0 and 1, that add up to a whole number.
fn designs(layers: usize, parts: u64) -> Vec<(Vec<u64>, u32)> {
    let count = (parts - 1).pow(layers as u32);
    let digits = |n: u64| (0..layers as u32).map(|i| n / (parts - 1).pow(i) % (parts - 1) + 1).collect::<Vec<_>>();
    let whole = |p: Vec<u64>| {
        p.iter().sum::<u64>().is_multiple_of(parts).then(|| (p.iter().sum::<u64>() / parts) as u32).map(|k| (p, k))
    };
    (0..count).filter_map(|n| whole(digits(n))).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12
}

/// Each layer is in a share of all weight that is its probability, to the unit; and `miss` and the worst set of m wrong
/// layers are what enumeration says.
#[test]
fn probabilities_are_those_of_enumeration() {
    let mut tried = 0;
    for (layers, parts) in [(3, 8), (4, 8), (5, 4), (6, 3)] {
        for (p, drawn) in designs(layers, parts) {
            let whole: Vec<u128> = p.iter().map(|&p| p.into()).collect();
            let weights: Vec<(u32, u128)> =
                sets(layers, drawn as usize).map(|s| (s, weight(&whole, parts.into(), s))).collect();
            let all: u128 = weights.iter().map(|w| w.1).sum();
            for (i, share) in whole.iter().enumerate() {
                let with: u128 = weights.iter().filter(|(s, _)| s >> i & 1 == 1).map(|w| w.1).sum();
                assert_eq!(with * u128::from(parts), share * all, "{p:?}");
            }
            // Thirds are no multiple of 2^-32.
            if !UNIT.is_multiple_of(parts) {
                continue;
            }
            let design = Design::new(p.iter().map(|p| p * (UNIT / parts)).collect(), drawn).unwrap();
            let mut least = vec![1f64; layers + 1];
            for wrong in 0u32..1 << layers {
                let missed: u128 = weights.iter().filter(|(s, _)| s & wrong == 0).map(|w| w.1).sum();
                let miss = missed as f64 / all as f64;
                assert!(close(design.miss(&members(wrong)), miss), "{p:?} {wrong:b}");
                let count = wrong.count_ones() as usize;
                least[count] = least[count].min(1.0 - miss);
            }
            for (count, expected) in least.into_iter().enumerate() {
                assert!(close(design.least_of(count), expected), "{p:?}, {count} wrong");
            }
            assert!(close(design.least_of(1), design.least()));
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn uniform_is_hypergeometric_and_has_the_greatest_least_probability() {
    for (layers, drawn, pinned) in [(12usize, 4u32, 0usize), (26, 6, 2), (6, 5, 0), (40, 39, 0)] {
        let pins: Vec<bool> = (0..layers).map(|i| i < pinned).collect();
        let design = plan(&pins, drawn, Weights::Uniform).unwrap();
        let (open, left) = (layers - pinned, drawn as usize - pinned);
        for wrong in 0..=open {
            let miss: f64 = (0..wrong).map(|i| open.saturating_sub(left + i) as f64 / (open - i) as f64).product();
            // Probabilities are whole units of 2^-32.
            assert!((design.least_of(wrong) - (1.0 - miss)).abs() < 1e-8, "{layers} {drawn} {wrong}");
        }
        let weights: Vec<f64> = (0..layers).map(|i| 1.0 + i as f64).collect();
        let other = plan(&pins, drawn, Weights::Given { weights: &weights, floor: 0.01 }).unwrap();
        assert!(other.least() < design.least());
        assert!(other.coverage(&weights) > design.coverage(&weights));
    }
}

#[test]
fn pinned_layers_are_always_drawn() {
    let design = plan(&[true, false, false, false, true], 3, Weights::Uniform).unwrap();
    for seed in 0..50u8 {
        let drawn = design.draw(&[seed; 32]);
        assert!(drawn.len() == 3 && drawn.contains(&0) && drawn.contains(&4) && drawn.is_sorted(), "{drawn:?}");
    }
    assert_eq!((design.miss(&[0]), design.miss(&[1, 4]), design.least_of(4)), (0.0, 0.0, 1.0));
    let all = plan(&[false; 3], 3, Weights::Given { weights: &[1.0, 2.0, 3.0], floor: 0.1 }).unwrap();
    assert_eq!((all.draw(&[0; 32]), all.least(), all.miss(&[])), (vec![0, 1, 2], 1.0, 1.0));
}

/// Frequencies of layers, of pairs and of sets that miss, within five standard deviations.
#[test]
fn draws_have_the_stated_probabilities() {
    let weights = [9.0, 1.0, 4.0, 0.0, 2.5, 7.0, 1.0];
    let pins = [false, false, false, false, false, false, true];
    let design = plan(&pins, 4, Weights::Given { weights: &weights, floor: 0.2 }).unwrap();
    let trials = 20_000u32;
    let mut drawn: Vec<Vec<u32>> = Vec::new();
    for trial in 0..trials {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&trial.to_le_bytes());
        drawn.push(design.draw(&seed));
    }
    let close = |expected: f64, hit: &dyn Fn(&[u32]) -> bool| {
        let seen = drawn.iter().filter(|layers| hit(layers)).count() as f64 / f64::from(trials);
        let deviation = (expected * (1.0 - expected) / f64::from(trials)).sqrt();
        assert!((seen - expected).abs() <= 5.0 * deviation + 1e-12, "{seen} seen, {expected} expected");
    };
    for a in 0..7usize {
        close(design.probability(a), &|layers| layers.contains(&(a as u32)));
        for b in 0..a {
            let pair = [a, b];
            close(design.miss(&pair), &|layers| pair.iter().all(|i| !layers.contains(&(*i as u32))));
        }
    }
    for count in 0..=7 {
        let mut least: Vec<usize> = (0..7).collect();
        least.sort_by_key(|&i| design.inclusion()[i]);
        least.truncate(count);
        close(design.least_of(count), &|layers| least.iter().any(|i| layers.contains(&(*i as u32))));
    }
}

/// What other implementations have to draw.
#[test]
fn known_draws() {
    let design = plan(&[false; 12], 4, Weights::Uniform).unwrap();
    assert_eq!(design.draw(&[0; 32]), KNOWN[0]);
    assert_eq!(design.draw(&[1; 32]), KNOWN[1]);
    let uneven = Design::new(vec![UNIT, UNIT / 2, UNIT / 4, UNIT / 4, UNIT / 2, UNIT / 2], 3).unwrap();
    assert_eq!(uneven.draw(&[2; 32]), KNOWN[2]);
}

/// Drawn by another program, after the documentation of `draw`.
const KNOWN: [&[u32]; 3] = [&[4, 6, 7, 8], &[1, 3, 5, 8], &[0, 4, 5]];

#[test]
fn plans_keep_floor_and_sum() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    for case in 0..300 {
        let layers = 2 + case % 30;
        let pins: Vec<bool> = (0..layers).map(|_| random() < 0.1).collect();
        let open = pins.iter().filter(|p| !**p).count();
        if open < 2 {
            continue;
        }
        let left = 1 + (random() * (open - 1) as f64) as usize;
        let weights: Vec<f64> = (0..layers).map(|_| (20.0 * random() - 10.0).exp()).collect();
        let floor = random().max(1e-6) * left as f64 / open as f64;
        let drawn = (left + layers - open) as u32;
        let design = plan(&pins, drawn, Weights::Given { weights: &weights, floor }).unwrap();
        for (i, pinned) in pins.iter().enumerate() {
            assert_eq!(design.inclusion()[i] == UNIT, *pinned || left == open);
            assert!(design.probability(i) >= floor - 1e-9, "case {case}: {} < {floor}", design.probability(i));
        }
        for (i, j) in (0..layers).flat_map(|i| (0..layers).map(move |j| (i, j))).filter(|(i, j)| !pins[*i] && !pins[*j])
        {
            if weights[i] < weights[j] {
                assert!(design.inclusion()[i] <= design.inclusion()[j] + 2, "case {case}: the order of weights");
            }
        }
        let seed = [case as u8; 32];
        assert_eq!(design.draw(&seed).len(), drawn as usize);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let given = |weights, floor| plan(&[false; 3], 1, Weights::Given { weights, floor });
    assert!(matches!(plan(&[], 0, Weights::Uniform), Err(PlanError::Drawn { .. })));
    assert!(matches!(plan(&[false; 3], 4, Weights::Uniform), Err(PlanError::Drawn { .. })));
    assert!(matches!(plan(&[true, false, false], 1, Weights::Uniform), Err(PlanError::Pinned { .. })));
    assert!(matches!(given(&[1.0; 3], 0.0), Err(PlanError::Floor { .. })), "a layer that is never drawn");
    assert!(matches!(given(&[1.0; 3], 0.34), Err(PlanError::Floor { .. })));
    assert!(matches!(given(&[1.0; 3], f64::NAN), Err(PlanError::Floor { .. })));
    assert!(matches!(given(&[1.0; 2], 0.1), Err(PlanError::WeightCount { weights: 2, layers: 3 })));
    assert!(matches!(given(&[0.0; 3], 0.1), Err(PlanError::NoWeight)));
    assert!(matches!(given(&[1.0, -1.0, 1.0], 0.1), Err(PlanError::Weight { layer: 1, .. })));
    assert!(matches!(Design::new(vec![0, UNIT], 1), Err(DesignError::Outside { layer: 0, .. })));
    assert!(matches!(Design::new(vec![UNIT / 2, UNIT / 2 + 1], 1), Err(DesignError::Sum { .. })));
    assert!(matches!(Design::new(vec![], 0), Err(DesignError::Sum { .. })));
    assert_eq!(Design::new(vec![1, UNIT - 1], 1), Err(DesignError::Slow));
    assert_eq!(Design::new(vec![UNIT; 8193], 8193), Err(DesignError::Many(8193)));
}

#[test]
fn policies_hold_what_is_drawn_by() {
    let design = plan(&[true, false, false], 2, Weights::Uniform).unwrap();
    let policy = Policy::new(&design, Some(Digest([1; 32])));
    assert_eq!(policy.design().unwrap(), design);
    let others = [
        Policy { version: 2, ..policy.clone() },
        Policy { model_id: None, ..policy.clone() },
        Policy { model_id: Some(Digest([2; 32])), ..policy.clone() },
        Policy { drawn: 1, ..policy.clone() },
        Policy { inclusion: vec![UNIT, UNIT / 2, UNIT], ..policy.clone() },
    ];
    assert!(others.iter().all(|other| other.digest() != policy.digest()));
    assert!(matches!(others[0].design(), Err(PolicyError::Version(2))));
    assert!(matches!(others[3].design(), Err(PolicyError::Design(_))));
}

#[test]
fn many_answers() {
    assert!(close(over_answers(0.25, 1.0, 2), 1.0 - 0.75 * 0.75));
    assert!(close(over_answers(0.5, 0.5, 2), 1.0 - 0.75 * 0.75));
    assert_eq!((over_answers(1.0, 1.0, 1), over_answers(1.0, 1.0, 0), over_answers(0.0, 1.0, 9)), (1.0, 0.0, 0.0));
    // Against draws: two answers, layer 1 of 4 wrong in both.
    let design = plan(&[false; 4], 1, Weights::Uniform).unwrap();
    let caught = |trial: u32| {
        (0..2u8).any(|answer| {
            let mut seed = [answer; 32];
            seed[..4].copy_from_slice(&trial.to_le_bytes());
            design.draw(&seed) == [1]
        })
    };
    let share = (0..10_000).filter(|t| caught(*t)).count() as f64 / 1e4;
    let expected = over_answers(design.least(), 1.0, 2);
    assert!((share - expected).abs() < 5.0 * (expected * (1.0 - expected) / 1e4).sqrt(), "{share} {expected}");
}
