use super::*;
use crate::cpu::Ifma;
use ff::PrimeField;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// `2 p - 1` in limbs of 52 bits: the greatest that blocks may hold between kernels.
const GREATEST: [u64; 5] = {
    const MODULUS: [u64; 4] =
        [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
    let mut twice = [0; 4];
    let mut limb = 0;
    while limb < 4 {
        twice[limb] = MODULUS[limb] << 1 | if limb > 0 { MODULUS[limb - 1] >> 63 } else { 0 };
        limb += 1;
    }
    let [a, b, c, d] = twice;
    let mask = (1 << 52) - 1;
    [(a - 1) & mask, (a >> 52 | b << 12) & mask, (b >> 40 | c << 24) & mask, (c >> 28 | d << 36) & mask, d >> 16]
};

fn random(n: usize, rng: &mut ChaCha8Rng) -> Vec<Fr> {
    (0..n).map(|_| if rng.next_u32().is_multiple_of(8) { -Fr::ONE } else { Fr::random(&mut *rng) }).collect()
}

/// What each kernel makes of these columns, as elements.
fn kernels<O: Ops>(o: O, a: &[Block], b: &[Block], elements: &[Fr], rows: &[u32]) -> Vec<(&'static str, Vec<Fr>)> {
    let first: [Fr; LANES] = elements[..LANES].try_into().expect("as many");
    let last: [Fr; LANES] = elements[elements.len() - LANES..].try_into().expect("as many");
    let [step, other] = [elements[LANES], elements[LANES + 1]];
    let prefixes = prefix_blocks(o, a);
    let constants: Vec<Constant> = elements.iter().map(|element| o.constant(element)).collect();
    let columns: Vec<&[Block]> = elements.iter().enumerate().map(|(i, _)| if i % 3 == 0 { b } else { a }).collect();
    let (parts, shifts) = (a.len() / 8 * 8, &b[..a.len() / 8]);
    let mut product = a.to_vec();
    multiply_blocks(o, &mut product, &enter_blocks(o, &leave_blocks(o, b)));
    let mut scaled = a.to_vec();
    scale_blocks(o, &mut scaled, &constants[0]);
    let cycle = enter_blocks(o, &elements[..3 * LANES]);
    let blocks = [
        ("the column", a.to_vec()),
        ("split", split_blocks(o, a, &first, &step, &last, &other)),
        ("combine", combine_blocks(o, &columns, &constants)),
        ("fold", fold_blocks(o, &a[..parts], &constants[..8], shifts)),
        ("progression", make_progression(o, &first, &step, a.len())),
        ("multiply", product),
        ("scale", scaled),
        ("prefixes", prefixes.clone()),
    ];
    let sums = [
        ("dot", dot_blocks(o, a, b)),
        ("dot_cycle", dot_cycle_blocks(o, &first, &cycle, a)),
        ("by_place", sum_by_place(o, a)),
        ("sum_before", sum_blocks_before(o, a, &prefixes, rows)),
    ];
    let blocks = blocks.into_iter().map(|(name, blocks)| (name, leave_blocks(o, &blocks)));
    blocks.chain(sums.map(|(name, sum)| (name, vec![sum]))).collect()
}

/// Reductions that are put off come in time whatever blocks hold, and both forms compute the same.
#[test]
fn vector_kernels_equal_the_portable_ones() {
    let Some(ifma) = Ifma::detect() else {
        println!("skipped: the machine lacks the instructions");
        return;
    };
    assert_eq!(Fr::MODULUS, "0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let greatest = Block(GREATEST.map(|limb| [limb; LANES]));
    for blocks in [16, 64, 171] {
        for kind in 0..3 {
            let mut column = || match kind {
                0 => vec![greatest; blocks],
                1 => enter_blocks(ifma, &random(blocks * LANES, &mut rng)),
                _ => {
                    let mut column = enter_blocks(ifma, &random(blocks * LANES, &mut rng));
                    column.iter_mut().step_by(3).for_each(|block| *block = greatest);
                    column
                }
            };
            let (a, b) = (column(), column());
            let elements = if kind == 0 { vec![-Fr::ONE; 40] } else { random(40, &mut rng) };
            let mut rows: Vec<u32> = (0..=(blocks * LANES) as u32).collect();
            rows.extend((0..99).map(|_| (blocks * LANES) as u32 - 1));
            let [plain_a, plain_b] = [&a, &b].map(|column| enter_blocks(Portable, &leave_blocks(ifma, column)));
            let vector = kernels(ifma, &a, &b, &elements, &rows);
            let portable = kernels(Portable, &plain_a, &plain_b, &elements, &rows);
            for (vector, portable) in vector.into_iter().zip(portable) {
                assert!(vector == portable, "{}, {blocks} blocks, kind {kind}", portable.0);
            }
        }
    }
}
