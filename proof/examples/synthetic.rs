use halo2_proofs::poly::commitment::Guard;
use nanozk_plan::*;
use nanozk_proof::*;
use nanozk_proof::{
    field::*, layer::LayerKey, pcs::ProverBases, prover::*, publics::PublicData, srs::Srs, verifier::*,
    weights::WeightColumns, witness::LaneColumn,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::{sync::Arc, time::Instant};
fn main() {
    let arg = |i: usize, d: u32| std::env::args().nth(i).and_then(|s| s.parse().ok()).unwrap_or(d);
    let (k, t, nr, np, nm) = (arg(1, 13), arg(2, 64), arg(3, 18), arg(4, 5), arg(5, 8));
    let b = k - 1;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let g = Geometry::new(k, b, t).unwrap();
    let rows = g.rows();
    let nl = nr + 2 * np + nm;
    let mut data: Vec<Vec<i64>> = vec![];
    let tables: Vec<Vec<i64>> = (0..2).map(|s| (0..1i64 << b).map(|v| v * 3 + s).collect()).collect();
    let mut lookups = vec![];
    for l in 0..nr {
        data.push((0..rows).map(|_| rng.gen_range(0..1i64 << b)).collect());
        lookups.push(Lookup { a: l, b: None, tag: Tag::Table(0), mask: None });
    }
    for i in 0..np {
        let a: Vec<i64> = (0..rows).map(|_| rng.gen_range(0..1i64 << b)).collect();
        let tb = (i % 2) as usize;
        let o = a.iter().map(|v| tables[tb][*v as usize]).collect();
        lookups.push(Lookup { a: nr + 2 * i, b: Some(nr + 2 * i + 1), tag: Tag::Table(tb as u32 + 1), mask: None });
        data.push(a);
        data.push(o);
    }
    let mut gates = vec![];
    let f = |l| RowForm { terms: vec![(l, 1)], constant: 0 };
    for i in 0..nm / 4 {
        let l0 = nr + 2 * np + 4 * i;
        let a: Vec<i64> = (0..rows).map(|_| rng.gen_range(-30000..30000)).collect();
        let r: Vec<i64> = (0..rows).map(|_| rng.gen_range(0..30000)).collect();
        data.push(a.clone());
        data.push(r.clone());
        data.push(a.iter().map(|x| x * x).collect());
        data.push(a.iter().zip(&r).map(|(x, y)| x * y).collect());
        gates.push(Gate { name: "sq".into(), selector: None, a: f(l0), b: f(l0), c: f(l0 + 2) });
        gates.push(Gate { name: "mul".into(), selector: None, a: f(l0), b: f(l0 + 1), c: f(l0 + 3) });
    }
    let m = 64.min(g.groups);
    let n = 128u32.min(g.groups);
    let c = 32u32;
    let s = n.div_ceil(c);
    let weights: Vec<i32> = (0..m * n).map(|_| rng.gen_range(-30000..30000)).collect();
    // y lane
    let yl = data.len() as u32;
    let mut y = vec![0i64; rows];
    for j in 0..n.min(g.groups) {
        for tt in 0..t {
            y[(j * t + tt) as usize] =
                (0..m).map(|i| data[0][(i * t + tt) as usize] * weights[(i * n + j) as usize] as i64).sum();
        }
    }
    data.push(y);
    let rho = |a, d| Monomial { rho: (a, d), eta: (0, 0) };
    let plan = Plan {
        geometry: g,
        lanes: (0..=nl).map(|i| Lane { name: format!("{i}"), boundary: None }).collect(),
        lookups,
        gates,
        tables: 2,
        publics: vec![Public::One],
        claims: vec![Claim {
            count: n,
            monomial: rho(0, 1),
            terms: vec![Term { coef: 1, slot: yl * g.groups, stride: 1 }],
        }],
        operands: (0..s)
            .map(|q| Operand {
                row: q,
                row_stride: s,
                count: m,
                monomial: rho(q * c, 0),
                terms: vec![Term { coef: 1, slot: 0, stride: 1 }],
            })
            .collect(),
        tiles: vec![WeightTile { weight: 0, row: 0, inputs: m, outputs: n }],
        weight_columns: c,
        ..Plan::default()
    };
    let t0 = Instant::now();
    let srs = Srs::generate_unsafe(k, &mut rng).unwrap();
    println!("srs {:?}", t0.elapsed());
    let bases = Arc::new(ProverBases::new(&srs, k).unwrap());
    let t0 = Instant::now();
    let shape = keygen::keygen(&plan, &bases).unwrap();
    println!("keygen {:?} degree {}", t0.elapsed(), shape.key.vk.cs().degree());
    let masks = (0..c).map(|_| random_mask(&mut rng)).collect();
    let t0 = Instant::now();
    let w = WeightColumns::lay_out(&plan, &[weights], masks).unwrap();
    let key = LayerKey {
        name: "x".into(),
        shape: 0,
        inputs: vec![],
        outputs: vec![],
        params: vec![],
        tables: tables.iter().map(|x| msm::dense(bases.lagrange(), &table_column(&g, x))).collect(),
        weights: w.commit(&g, bases.lagrange()),
    };
    println!("weights {:?}", t0.elapsed());
    let lanes: Vec<LaneColumn> =
        data.into_iter().map(|data| LaneColumn { data, mask: random_mask(&mut rng) }).collect();
    for _ in 0..3 {
        let t0 = Instant::now();
        let layer = LayerProver { shape: &shape, key: &key, tables: &tables, weights: &w, index: 0 };
        let public = PublicData { params: &[], inputs: &[], outputs: &[] };
        let proof = prove_layer(
            &bases,
            &layer,
            LayerInput { lanes: lanes.clone(), boundary: &[], public, prefix: Fr::from(7) },
            &mut rng,
        )
        .unwrap();
        let tp = t0.elapsed();
        for _ in 0..2 {
            let t0 = Instant::now();
            let none = vec![None; plan.lanes.len()];
            let ok = prepare_layer(
                &LayerClaim { shape: &shape.key, key: &key, index: 0, boundary: &none, public, prefix: Fr::from(7) },
                &proof,
            );
            let tprep = t0.elapsed();
            let ok = ok.map(|g| g.verify(&srs.verifier_params()));
            println!("prove {:?} bytes {} prep {:?} verify {:?} {:?}", tp, proof.len(), tprep, t0.elapsed(), ok);
        }
    }
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", s.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
