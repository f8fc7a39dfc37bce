use halo2curves::G2Affine;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn srs(k: u32) -> Srs {
    Srs::generate_unsafe(k, &mut ChaCha8Rng::seed_from_u64(u64::from(k))).unwrap()
}

fn written(srs: &Srs) -> Vec<u8> {
    let mut bytes = vec![];
    srs.write(&mut bytes).unwrap();
    bytes
}

fn ceremony(params: &ParamsKZG<Bls12>, format: SerdeFormat) -> Vec<u8> {
    let mut bytes = vec![];
    params.write_custom(&mut bytes, format).unwrap();
    bytes
}

fn same(a: &Srs, b: &Srs) {
    assert_eq!(a.k(), b.k());
    assert_eq!(a.monomial(), b.monomial());
    assert_eq!(a.lagrange(a.k()).unwrap(), b.lagrange(b.k()).unwrap());
    assert_eq!(a.verifier_part(), b.verifier_part());
}

#[test]
fn generation_matches_the_stock_setup() {
    for k in [0, 1, 5] {
        let seed = ChaCha8Rng::seed_from_u64(7);
        let ours = Srs::generate_unsafe(k, &mut seed.clone()).unwrap().halo2_params(k).unwrap();
        let stock = ParamsKZG::<Bls12>::unsafe_setup(k, seed);
        assert_eq!(ceremony(&ours, SerdeFormat::RawBytes), ceremony(&stock, SerdeFormat::RawBytes));
    }
}

#[test]
fn smaller_lagrange_bases_match_the_stock_ones() {
    let srs = srs(6);
    let mut stock = srs.halo2_params(6).unwrap();
    stock.downsize(4);
    assert_eq!(srs.lagrange(4).unwrap()[..], to_affine(stock.g_lagrange())[..]);
    assert!(matches!(srs.lagrange(7), Err(SrsError::TooLarge { k: 7, limit: 6 })));
    assert!(matches!(srs.halo2_params(7), Err(SrsError::TooLarge { .. })));
    assert!(matches!(srs.truncated(7), Err(SrsError::TooLarge { k: 7, limit: 6 })));
    let too_large = Srs::generate_unsafe(64, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(matches!(too_large, Err(SrsError::TooLarge { k: 64, limit: MAX_K })));
}

#[test]
fn file_round_trip_keeps_all_domains() {
    let original = srs(6);
    original.lagrange(3).unwrap();
    let copy = Srs::read(&mut written(&original).as_slice()).unwrap();
    same(&original, &copy);
    assert_eq!(copy.lagrange_tables().keys().copied().collect::<Vec<_>>(), [3, 6]);
    assert_eq!(copy.lagrange(3).unwrap(), original.lagrange(3).unwrap());
}

#[test]
fn damaged_files_are_rejected() {
    let good = written(&srs(4));
    let read = |bytes: &[u8]| Srs::read(&mut &bytes[..]);
    let patched = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        read(&bytes)
    };
    assert!(read(&good).is_ok());
    for len in [0, 7, 11, 19, 60, 300, good.len() - 33, good.len() - 1] {
        assert!(matches!(read(&good[..len]), Err(SrsError::Truncated)), "length {len}");
    }
    assert!(matches!(read(&[&good[..], &[0]].concat()), Err(SrsError::TrailingData)));
    assert!(matches!(patched(0, b"X"), Err(SrsError::BadMagic)));
    assert!(matches!(patched(8, &[9]), Err(SrsError::BadVersion { found: 9, .. })));
    assert!(matches!(patched(12, &[27]), Err(SrsError::TooLarge { k: 27, limit: MAX_K })));
    assert!(matches!(patched(12, &[26]), Err(SrsError::Truncated)));
    assert!(matches!(patched(16, &[1 << 5]), Err(SrsError::BadHeader(_))));
    assert!(matches!(patched(16, &[1 << 3]), Err(SrsError::HashMismatch)));
    assert!(matches!(patched(30, &[good[30] ^ 1]), Err(SrsError::HashMismatch)));
    let point = 20 + 96 + 5 * 96;
    assert!(matches!(patched(point + 50, &[good[point + 50] ^ 1]), Err(SrsError::BadPoint { index: 5, .. })));
    let swapped: Vec<u8> = good[point..point + 96].to_vec();
    assert!(matches!(patched(point + 96, &swapped), Err(SrsError::HashMismatch)));
    assert!(matches!(patched(good.len() - 1, &[good[good.len() - 1] ^ 1]), Err(SrsError::HashMismatch)));
}

#[test]
fn ceremony_files_of_both_formats_are_imported() {
    let original = srs(5);
    let params = original.halo2_params(5).unwrap();
    for format in [SerdeFormat::Processed, SerdeFormat::RawBytes, SerdeFormat::RawBytesUnchecked] {
        same(&original, &Srs::import(ceremony(&params, format).as_slice(), None).unwrap());
    }
}

#[test]
fn wrong_ceremony_files_are_rejected() {
    let original = srs(5);
    let (ours, other) = (original.halo2_params(5).unwrap(), srs(6).halo2_params(5).unwrap());
    let good = ceremony(&ours, SerdeFormat::RawBytes);
    let foreign = ceremony(&other, SerdeFormat::RawBytes);
    let import = |bytes: &[u8]| Srs::import(bytes, None);
    let lagrange = 4 + 32 * 96;
    let g2 = 4 + 64 * 96;
    let with = |from: usize, to: usize, source: &[u8]| {
        let mut bytes = good.clone();
        bytes[from..to].copy_from_slice(&source[from..to]);
        import(&bytes)
    };
    let swapped = |a: usize| {
        let mut source = good.clone();
        source.copy_within(a..a + 96, a + 96);
        with(a, a + 192, &source)
    };
    assert!(import(&good).is_ok());
    assert!(matches!(swapped(4 + 7 * 96), Err(SrsError::Inconsistent(_))));
    assert!(matches!(swapped(lagrange + 7 * 96), Err(SrsError::Inconsistent(_))));
    assert!(matches!(with(lagrange, g2, &foreign), Err(SrsError::Inconsistent(_))));
    assert!(matches!(with(g2 + 192, g2 + 384, &foreign), Err(SrsError::Inconsistent(_))));
    assert!(matches!(import(&good[..good.len() - 1]), Err(SrsError::Truncated)));
    assert!(matches!(import(&[&good[..], &[0]].concat()), Err(SrsError::TrailingData)));
    assert!(matches!(import(&[200, 0, 0, 0, 1]), Err(SrsError::TooLarge { k: 200, .. })));
    assert!(matches!(import(&[26, 0, 0, 0, 0x97]), Err(SrsError::Truncated)));

    let shifted = ParamsKZG::<Bls12>::from_parts(
        1,
        vec![ours.g_lagrange()[0], ours.g_lagrange()[1]],
        None,
        ours.g2(),
        ours.s_g2(),
    );
    let shifted = ceremony(&shifted, SerdeFormat::Processed);
    assert!(matches!(import(&shifted), Err(SrsError::Inconsistent(_))));

    let why =
        |file: ParamsKZG<Bls12>| import(&ceremony(&file, SerdeFormat::Processed)).expect_err("refused").to_string();
    let monomial = original.monomial().iter().map(G1::from).collect();
    let generator = ParamsKZG::<Bls12>::from_parts(5, monomial, None, ours.s_g2(), ours.s_g2());
    assert!(why(generator).contains("other generators"));
    let doubled = |bases: Vec<G1>| bases.iter().map(G1::double).collect();
    let [monomial, lagrange] = [original.monomial(), &*original.lagrange(5).unwrap()]
        .map(|bases| doubled(bases.iter().map(G1::from).collect()));
    let generator = ParamsKZG::<Bls12>::from_parts(5, monomial, Some(lagrange), ours.g2(), ours.s_g2());
    assert!(why(generator).contains("other generators"));
    let powers = vec![G1::generator(), G1::identity()];
    let zero = ParamsKZG::<Bls12>::from_parts(1, powers, None, ours.g2(), G2Affine::identity().into());
    assert!(why(zero).contains("is the identity"));
}

/// Points as Ethereum's files give them.
fn digits<P: GroupEncoding>(points: impl IntoIterator<Item = P>) -> Vec<String> {
    points.into_iter().map(|point| format!("0x{}", hex::encode(point.to_bytes().as_ref()))).collect()
}

fn powers_in_g2(srs: &Srs) -> Vec<String> {
    digits([G2Affine::generator(), srs.verifier_part().s_g2()])
}

fn import_json(file: &serde_json::Value, rows: Option<u32>) -> Result<Srs, SrsError> {
    Srs::import(file.to_string().as_bytes(), rows)
}

#[test]
fn sets_of_ethereums_ceremony_are_imported() {
    let original = srs(5);
    let (g1, g2) = (digits(original.monomial().iter().copied()), powers_in_g2(&original));
    let lagrange = digits(original.lagrange(5).unwrap().iter().copied());
    let reversed: Vec<_> = (0..32usize).map(|i| &lagrange[i.reverse_bits() >> (usize::BITS - 5)]).collect();
    for file in [
        serde_json::json!({ "g1_monomial": g1, "g1_lagrange": lagrange, "g2_monomial": g2 }),
        serde_json::json!({ "g1_lagrange": lagrange, "g2_monomial": g2 }),
        serde_json::json!({ "g1_lagrange": reversed, "g2_monomial": g2 }),
    ] {
        same(&original, &import_json(&file, None).unwrap());
        same(&original.truncated(3).unwrap(), &import_json(&file, Some(3)).unwrap());
        assert!(matches!(import_json(&file, Some(6)), Err(SrsError::TooLarge { k: 6, limit: 5 })));
    }
}

#[test]
fn of_a_transcript_the_smallest_set_that_serves_is_taken() {
    let sets = [srs(6), srs(4), srs(5)];
    let transcripts = sets.iter().map(|set| {
        let powers =
            serde_json::json!({ "G1Powers": digits(set.monomial().iter().copied()), "G2Powers": powers_in_g2(set) });
        serde_json::json!({ "numG1Powers": 1 << set.k(), "powersOfTau": powers, "witness": { "runningProducts": [] } })
    });
    let file = serde_json::json!({ "transcripts": transcripts.collect::<Vec<_>>(), "participantIds": [] });
    for (rows, set) in [(Some(3), 1), (Some(4), 1), (Some(5), 2), (Some(6), 0), (None, 0)] {
        let k = rows.unwrap_or(6);
        same(&sets[set].truncated(k).unwrap(), &import_json(&file, rows).unwrap());
    }
    assert!(matches!(import_json(&file, Some(7)), Err(SrsError::TooLarge { k: 7, limit: 6 })));
}

#[test]
fn wrong_json_is_rejected() {
    let (ours, other) = (srs(3), srs(4));
    let (g1, g2) = (digits(ours.monomial().iter().copied()), powers_in_g2(&ours));
    let lagrange = digits(ours.lagrange(3).unwrap().iter().copied());
    let import = |g1: &[String], lagrange: &[String], g2: &[String]| {
        import_json(&serde_json::json!({ "g1_monomial": g1, "g1_lagrange": lagrange, "g2_monomial": g2 }), None)
    };
    assert!(import(&g1, &[], &g2).is_ok());
    assert!(matches!(import(&g1, &[], &powers_in_g2(&other)), Err(SrsError::Inconsistent(_))));
    assert!(matches!(import(&[], &lagrange, &powers_in_g2(&other)), Err(SrsError::Inconsistent(_))));
    assert!(matches!(import(&g1[..7], &[], &g2), Err(SrsError::Inconsistent(_))));
    assert!(matches!(json::log_size(2 << MAX_K), Err(SrsError::TooLarge { limit: MAX_K, .. })));
    assert!(matches!(import(&[], &[], &g2), Err(SrsError::Inconsistent(_))));
    assert!(matches!(import(&g1, &[], &g2[..1]), Err(SrsError::BadPoint { index: 1, .. })));
    let changed = |digits: &str| [&g1[..5], &[digits.to_string()], &g1[6..]].concat();
    for digits in ["", "0x", &g1[5][2..], &g1[5][..96], &g1[5].replace('0', "g"), &format!("0xff{}", &g1[5][4..])] {
        assert!(matches!(import(&changed(digits), &[], &g2), Err(SrsError::BadPoint { index: 5, .. })), "{digits}");
    }
    assert!(matches!(import(&changed(&g1[4]), &[], &g2), Err(SrsError::Inconsistent(_))));
    assert!(matches!(Srs::import(&b"{\"g1_monomial\": 1}"[..], None), Err(SrsError::Json(_))));
    assert!(matches!(Srs::import(&b"{\"g1"[..], None), Err(SrsError::Json(_))));
}

#[test]
fn points_outside_the_subgroup_are_rejected() {
    use group::UncompressedEncoding;
    let outside = (1..=255u8)
        .find_map(|x| {
            let mut bytes = <G1Affine as GroupEncoding>::Repr::default();
            (bytes.as_mut()[0], bytes.as_mut()[47]) = (0x80, x);
            let point: Option<G1Affine> = G1Affine::from_bytes_unchecked(&bytes).into();
            point.filter(|_| bool::from(G1Affine::from_bytes(&bytes).is_none()))
        })
        .unwrap();
    let mut file = ceremony(&srs(3).halo2_params(3).unwrap(), SerdeFormat::RawBytes);
    file[4 + 2 * 96..4 + 3 * 96].copy_from_slice(outside.to_uncompressed().as_ref());
    assert!(matches!(Srs::import(file.as_slice(), None), Err(SrsError::BadPoint { index: 2, .. })));
}

#[test]
fn verifier_part_round_trips_and_identifies_the_srs() {
    let srs = srs(4);
    let bytes = postcard::to_stdvec(srs.verifier_part()).unwrap();
    assert_eq!(postcard::from_bytes::<SrsVerifierPart>(&bytes).unwrap(), *srs.verifier_part());
    assert_eq!(srs.verifier_params().s_g2(), srs.halo2_params(4).unwrap().s_g2());
    let larger = Srs::generate_unsafe(5, &mut ChaCha8Rng::seed_from_u64(4)).unwrap();
    assert_eq!(srs.id(), larger.id());
    assert_ne!(srs.id(), Srs::generate_unsafe(4, &mut ChaCha8Rng::seed_from_u64(5)).unwrap().id());
    assert_eq!((srs.verifier_part().ceremony(), srs.verifier_part().log_powers()), (None, MAX_K));

    let identity: Vec<u8> = G2Affine::identity().to_bytes().as_ref().to_vec();
    for bad in [vec![], vec![0; 96], vec![0xff; 96], identity] {
        assert!(SrsVerifierPart::try_from(bad).is_err());
    }
}
