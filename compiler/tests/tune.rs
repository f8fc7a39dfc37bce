//! t
mod common;
use common::{Shared, quantised};
use nanozk_compiler::{config::Config, fidelity, quantise};
use nanozk_ir::int::Op;
#[test]
fn tune() {
    let m = Shared::load("kjvgpt-d64-l4").unwrap();
    let val = m.validation();
    for line in std::env::var("TUNE").unwrap_or_default().split(';') {
        let c = Config::parse(&format!("quantise: {{{line}}}")).unwrap();
        let t = std::time::Instant::now();
        let model = match std::panic::catch_unwind(|| quantised(&m, &c)) { Ok(m) => m, Err(_) => continue };
        let dt = t.elapsed();
        let f = fidelity::evaluate(&m.graph, &model, &val, 200);
        let s = quantise::lookups(&model).iter().map(|c| c.total).collect::<Vec<_>>();
        match f {
            Ok(f) => println!("[{line}] ppl {:+.4}% top1 {:.5} max {:.3} cells {s:?} quantise {dt:?} eval {:?}", (f.perplexity_integer.unwrap()/f.perplexity_float.unwrap()-1.0)*100.0, f.top1_agreement, f.max_abs_error.unwrap(), t.elapsed()),
            Err(e) => println!("[{line}] {e} {s:?}"),
        }
        if std::env::var("VERBOSE").is_ok() {
            for (i, n) in model.shapes[1].nodes.iter().enumerate() {
                let extra = match &n.op { Op::Affine{..} | Op::Const{..} => n.op.name().to_string(), o => format!("{o:?}") };
                println!("{i:3} {:60} {extra:60} n={} 2^{:.1} 2^{:.1}", n.name, n.features, (n.lo.unsigned_abs() as f64).log2(), (n.hi.unsigned_abs() as f64).log2());
            }
            for l in &model.layers { for tb in &l.tables { let z = tb.iter().position(|&v| v*10 < tb[0]); println!("{} table[0]={} first below 1/10 at {:?} -> step {:.5}", l.name, tb[0], z, 2.3/z.unwrap_or(1) as f64); } }
        }
    }
}
