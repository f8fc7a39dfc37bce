//! Every check of a plan, by what it says of a plan that nothing else is wrong with.

use nanozk_plan::check::{CheckError, MAX_ITEMS, check};
use nanozk_plan::{
    Boundary, Claim, FixedColumn, Functional, FunctionalEntry, Gate, Geometry, Lane, Lookup, Monomial, Operand, Plan,
    Port, Public, Relation, RowForm, Tag, Term, TokenWeight, WeightTile,
};

const GROUPS: u32 = 49;
const X: u32 = 0;
const Z: u32 = 1;
const Y: u32 = 2;
const PRODUCT: u32 = 3;
const KEY: u32 = 4;
const VALUE: u32 = 5;
const LIMB: u32 = 6;

fn term(slot: u32) -> Term {
    Term { coef: 1, slot, stride: 0 }
}

fn rho(rho: u32) -> Monomial {
    Monomial { rho: (rho, 0), eta: (0, 0) }
}

fn operand(row: u32, slot: u32) -> Operand {
    Operand { row, row_stride: 0, count: 1, monomial: rho(row), terms: vec![term(slot)] }
}

fn claim(exponent: u32, slot: u32) -> Claim {
    Claim { count: 1, monomial: rho(exponent), terms: vec![term(slot)] }
}

/// A plan with a part of every kind, which passes: y = x w, x z by a right operand, x z by a functional, and y + z.
fn full() -> Plan {
    let ports = [Some(Port::Input(0)), Some(Port::Input(1)), Some(Port::Output(0)), None, None, None, None];
    let form = |lane| RowForm { terms: vec![(lane, 1)], constant: 0 };
    let slot = |lane: u32, group: u32| lane * GROUPS + group;
    let public = |port| Boundary { port, lanes: Vec::new(), features: 1 };
    let sum = Relation { count: 1, terms: vec![term(slot(Y, 0)), term(slot(Z, 0)), term(slot(Y, 1))] };
    Plan {
        geometry: Geometry::new(6, 4, 1).unwrap(),
        lanes: ports.map(|boundary| Lane { name: "lane".into(), boundary }).into(),
        boundaries: vec![
            Boundary { port: Port::Input(0), lanes: vec![X], features: 2 },
            Boundary { port: Port::Input(1), lanes: vec![Z], features: 2 },
            Boundary { port: Port::Output(0), lanes: vec![Y], features: 2 },
            public(Port::Input(2)),
            public(Port::Input(3)),
        ],
        fixed: [(0, 4, 1), (0, 8, 1)].map(|run| FixedColumn { name: "fixed".into(), runs: vec![run] }).into(),
        gates: vec![Gate { name: "gate".into(), selector: Some(0), a: form(X), b: form(Z), c: form(PRODUCT) }],
        lookups: vec![
            Lookup { a: KEY, b: Some(VALUE), tag: Tag::Table(1), mask: Some(0) },
            Lookup { a: LIMB, b: None, tag: Tag::Fixed(1), mask: None },
        ],
        tables: 1,
        params: 2,
        publics: vec![
            Public::One,
            Public::Param { first: 0, count: 2 },
            Public::Const { rows: 1, features: 2, data: vec![3, 4] },
            Public::OneHot { port: Port::Input(2), feature: 0, count: 3 },
            Public::Tensor { port: Port::Input(3), features: 1 },
        ],
        relations: vec![sum],
        claims: vec![claim(0, slot(Y, 0)), claim(1, slot(PRODUCT, 0)), claim(2, slot(PRODUCT, 1))],
        operands: vec![operand(0, slot(X, 0)), operand(1, slot(X, 0)), operand(2, slot(X, 1))],
        tiles: vec![WeightTile { weight: 0, row: 0, inputs: 1, outputs: 1 }],
        weight_columns: 1,
        functionals: vec![Functional {
            kind: TokenWeight::Eta,
            entries: vec![FunctionalEntry { slot: slot(Z, 1), row: 2, rho: 0 }],
        }],
        right_operands: vec![Operand { monomial: rho(0), ..operand(1, slot(Z, 0)) }],
    }
}

/// Checks that a change of the full plan is refused for the reason given.
fn refused(reason: &str, change: impl FnOnce(&mut Plan)) {
    let mut plan = full();
    change(&mut plan);
    let error = check(&plan).expect_err(reason).to_string();
    assert!(error.contains(reason), "refused by another check than '{reason}': {error}");
}

#[test]
fn the_full_plan_passes() {
    assert_eq!(full().geometry.groups, GROUPS);
    check(&full()).unwrap();
}

#[test]
fn sizes_are_bounded() {
    let many = |count: usize| std::iter::repeat_n((), count);
    refused("k is 21", |plan| plan.geometry.k = 21);
    refused("the width of the range table is 7", |plan| plan.geometry.limb_bits = 7);
    refused("the number of tokens is 64", |plan| plan.geometry.tokens = 64);
    refused("the number of data rows is 63", |plan| plan.geometry.groups = 63);
    refused("the number of rows of a table is 64", |plan| plan.geometry.limb_bits = 6);
    refused("the number of lanes is 4097", |plan| {
        plan.lanes = many(4097).map(|()| Lane { name: String::new(), boundary: None }).collect();
    });
    refused("the number of fixed columns is 4097", |plan| {
        plan.fixed = many(4097).map(|()| FixedColumn { name: String::new(), runs: Vec::new() }).collect();
    });
    refused("the number of gates is 4097", |plan| plan.gates = many(4097).map(|()| plan.gates[0].clone()).collect());
    refused("the number of lookups is 4097", |plan| {
        plan.lookups = many(4097).map(|()| plan.lookups[0].clone()).collect()
    });
    refused("the number of functionals is 4097", |plan| {
        plan.functionals = many(4097).map(|()| plan.functionals[0].clone()).collect();
    });
    refused("the number of cells is", |plan| {
        plan.geometry.k = 20;
        plan.lanes.extend(many(200).map(|()| Lane { name: String::new(), boundary: None }));
    });
    refused("the number of terms of gates is", |plan| plan.gates[0].a.terms = vec![(0, 1); 1 << 14]);
    refused("the number of tables is 4097", |plan| plan.tables = 4097);
    refused("the number of parameters is", |plan| plan.params = (1 << 20) + 1);
    refused("the number of weight columns is", |plan| plan.weight_columns = (1 << 16) + 1);
    refused("the number of slots is", |plan| {
        plan.boundaries[4].features = MAX_ITEMS as u32;
        plan.publics[4] = Public::Tensor { port: Port::Input(3), features: MAX_ITEMS as u32 };
    });
    refused("the number of terms is", |plan| plan.relations[0].terms = vec![term(0); 20_000]);
    refused("the number of features of a boundary is 50", |plan| plan.boundaries[0].features = 50);
    refused("constant data is 1", |plan| plan.publics[2] = Public::Const { rows: 1, features: 2, data: vec![3] });
    refused("constant data is 4", |plan| {
        plan.publics[2] = Public::Const { rows: 2, features: 2, data: vec![3; 4] };
    });
    // One row serves all tokens.
    let shared = |plan: &mut Plan| plan.publics = vec![Public::Const { rows: 1, features: 2, data: vec![3, 4] }];
    let mut pairs = Plan { operands: Vec::new(), functionals: Vec::new(), ..in_pairs(full()) };
    shared(&mut pairs);
    check(&pairs).unwrap();
    refused("the number of outputs of a matrix is", |plan| {
        plan.tiles[0].outputs = MAX_ITEMS as u32 + 1;
        plan.tiles[0].inputs = 0;
    });
    refused("an exponent of a functional is", |plan| plan.functionals[0].entries[0].rho = MAX_ITEMS as u32 + 1);
}

#[test]
fn every_index_names_something() {
    let far = |lane| RowForm { terms: vec![(lane, 1)], constant: 0 };
    refused("gate 'gate' names lane 7", |plan| plan.gates[0].a = far(7));
    refused("gate 'gate' names lane 8", |plan| plan.gates[0].b = far(8));
    refused("gate 'gate' names lane 9", |plan| plan.gates[0].c = far(9));
    refused("gate 'gate' names fixed column 2", |plan| plan.gates[0].selector = Some(2));
    refused("lookup 1 names lane 7", |plan| plan.lookups[1].a = 7);
    refused("lookup 0 names lane 8", |plan| plan.lookups[0].b = Some(8));
    refused("lookup 0 names fixed column 2", |plan| plan.lookups[0].mask = Some(2));
    refused("lookup 0 names table tag 2", |plan| plan.lookups[0].tag = Tag::Table(2));
    refused("lookup 1 names fixed column 2", |plan| plan.lookups[1].tag = Tag::Fixed(2));
    refused("lookup 1 names table tag 2", |plan| plan.fixed[1].runs[0].2 = 2);
    refused("lookup 1 names table tag -1", |plan| plan.fixed[1].runs[0].2 = -1);
    refused("boundary Input(0) names lane 7", |plan| plan.boundaries[0].lanes = vec![7]);
    refused("a public slot names parameter 2", |plan| plan.publics[1] = Public::Param { first: 1, count: 2 });
    for port in [Port::Input(4), Port::Input(0)] {
        let reason = format!("public {port:?} names public boundary -1");
        refused(&reason, |plan| plan.publics[3] = Public::OneHot { port, feature: 0, count: 3 });
        refused(&reason, |plan| plan.publics[4] = Public::Tensor { port, features: 1 });
    }
    refused("public Input(2) names feature 1", |plan| {
        plan.publics[3] = Public::OneHot { port: Port::Input(2), feature: 1, count: 3 };
    });
    let end = full().slots();
    let set = |block: (&mut u32, &mut Vec<Term>), (count, slot, stride)| {
        *block.0 = count;
        block.1[0] = Term { coef: 1, slot, stride };
    };
    type SetTerm<'s> = &'s dyn Fn(&mut Plan, (u32, u32, i32));
    let places: [(&str, SetTerm); 4] = [
        ("relation 0", &|plan, to| {
            let Relation { count, terms } = &mut plan.relations[0];
            set((count, terms), to);
        }),
        ("claim 0", &|plan, to| {
            let Claim { count, terms, .. } = &mut plan.claims[0];
            set((count, terms), to);
        }),
        ("operand 0", &|plan, to| {
            let Operand { count, terms, .. } = &mut plan.operands[0];
            set((count, terms), to);
        }),
        ("operand 3", &|plan, to| {
            let Operand { count, terms, .. } = &mut plan.right_operands[0];
            set((count, terms), to);
        }),
    ];
    for (place, set) in places {
        refused(&format!("{place} names slot {end}"), |plan| set(plan, (1, end, 0)));
        // Each end of a strided block.
        refused(&format!("{place} names slot {end}"), |plan| set(plan, (2, end, -1)));
        refused(&format!("{place} names slot -1"), |plan| set(plan, (2, 0, -1)));
    }
    let far = MAX_ITEMS as u32;
    for (far, count, reason) in [((far, 0), 1, MAX_ITEMS as i64), ((far, -1), 2, MAX_ITEMS as i64), ((0, -1), 2, -1)] {
        for monomial in [Monomial { rho: far, eta: (0, 0) }, Monomial { rho: (0, 0), eta: far }] {
            refused(&format!("claim 0 names exponent {reason}"), |plan| {
                plan.claims[0] = Claim { count, monomial, ..plan.claims[0].clone() };
            });
            refused(&format!("operand 0 names exponent {reason}"), |plan| {
                plan.operands[0] = Operand { count, monomial, ..plan.operands[0].clone() };
            });
            refused(&format!("operand 3 names exponent {reason}"), |plan| {
                plan.right_operands[0] = Operand { count, monomial, ..plan.right_operands[0].clone() };
            });
        }
    }
    refused("matrix 0 names product row 49", |plan| plan.tiles[0].row = 49);
    refused("operand 2 names product row 49", |plan| plan.operands[2].row = 49);
    refused("operand 3 names product row 50", |plan| {
        plan.right_operands[0].count = 2;
        plan.right_operands[0].row_stride = 49;
    });
    refused("relation 0 has no terms", |plan| plan.relations[0].terms.clear());
}

#[test]
fn fixed_columns_are_well_formed() {
    let shape = "its runs are empty, overlap or are not ascending";
    refused(shape, |plan| plan.fixed[0].runs = vec![(0, 0, 1)]);
    refused(shape, |plan| plan.fixed[0].runs = vec![(0, 2, 1), (1, 2, 1)]);
    refused("a run leaves the data rows", |plan| plan.fixed[0].runs = vec![(40, 10, 1)]);
    for value in [2, -1] {
        refused("fixed column 0: a selector is not 0 or 1", |plan| {
            plan.lookups[0].mask = None;
            plan.fixed[0].runs[0].2 = value;
        });
        refused("fixed column 0: a selector is not 0 or 1", |plan| {
            plan.gates[0].selector = None;
            plan.fixed[0].runs[0].2 = value;
        });
    }
}

#[test]
fn boundaries_are_apart() {
    refused("stands there twice", |plan| {
        plan.boundaries.push(Boundary { port: Port::Input(0), lanes: Vec::new(), features: 1 });
    });
    refused("shares a lane", |plan| plan.boundaries[1].lanes = vec![X]);
    refused("has a lane that says otherwise", |plan| plan.lanes[KEY as usize].boundary = Some(Port::Input(0)));
    refused("has a lane that says otherwise", |plan| plan.lanes[X as usize].boundary = None);
    refused("is read twice in the same way", |plan| {
        plan.publics[4] = Public::OneHot { port: Port::Input(2), feature: 0, count: 3 };
    });
    refused("feature 1 of Output(0) enters no equation", |plan| plan.relations.clear());
    // A public output that an equation holds, but that follows from nothing.
    refused("feature 0 of Output(1) enters no equation", |plan| {
        plan.boundaries.push(Boundary { port: Port::Output(1), lanes: Vec::new(), features: 1 });
        plan.publics.push(Public::Tensor { port: Port::Output(1), features: 1 });
        let out = plan.slots() - 1;
        plan.relations.push(Relation { count: 1, terms: vec![term(out), term(PRODUCT * GROUPS + 5)] });
    });
}

#[test]
fn products_are_apart() {
    let z = |group: u32| Z * GROUPS + group;
    refused("two claims have the monomial rho^1 eta^0", |plan| plan.claims[2].monomial = rho(1));
    let nothing = "a matrix without columns or entries";
    refused(nothing, |plan| plan.weight_columns = 0);
    refused(nothing, |plan| plan.tiles[0].inputs = 0);
    refused(nothing, |plan| plan.tiles[0].outputs = 0);
    let tile = WeightTile { weight: 0, row: 0, inputs: 1, outputs: 1 };
    refused("a matrix overlaps another", |plan| plan.tiles.push(tile));
    refused("a matrix has no operand", |plan| plan.tiles[0].row = 3);
    refused("the operand does not continue its input", |plan| {
        plan.tiles[0].row = 3;
        plan.tiles[0].outputs = 2;
        plan.operands[0].row = 3;
        plan.operands.push(operand(4, X * GROUPS + 1));
        plan.operands.push(Operand { row: 0, ..operand(0, X * GROUPS) });
        plan.right_operands.push(Operand { monomial: rho(0), ..operand(0, z(0)) });
    });
    refused("a claim has the exponent of a spare weight column", |plan| {
        plan.weight_columns = 3;
        plan.tiles[0].outputs = 2;
    });
    refused("a functional reads a slot of no lane", |plan| {
        plan.functionals[0].entries[0].slot = plan.lane_slots();
    });
    let overlap = "a functional overlaps another product";
    for kind in [TokenWeight::Eta, TokenWeight::Row] {
        refused(overlap, |plan| {
            plan.functionals[0].kind = kind;
            plan.functionals[0].entries[0].row = 0;
        });
    }
    refused("two features of a functional share an exponent", |plan| {
        plan.functionals[0].kind = TokenWeight::Row;
        let entry = plan.functionals[0].entries[0];
        plan.functionals[0].entries.push(FunctionalEntry { slot: z(0), ..entry });
    });
    refused("blocks of a functional overlap", |plan| {
        // Values of two tokens: each entry has two rows.
        plan.geometry = Geometry { tokens: 2, groups: GROUPS / 2, ..plan.geometry };
        let mut values = in_pairs(plan.clone());
        values.functionals[0].entries =
            [(0, 4), (1, 5)].map(|(group, row)| FunctionalEntry { slot: group, row, rho: 0 }).into();
        *plan = values;
    });
    refused("products of two compressed slots are no products of cells", |plan| {
        let mut pairs = in_pairs(plan.clone());
        pairs.right_operands = vec![operand(4, 0)];
        *plan = pairs;
    });
    refused("a right operand overlaps another product", |plan| plan.right_operands[0].row = 0);
    refused("an operand meets neither matrix nor right operand", |plan| plan.right_operands.clear());
}

/// The products of the full plan for two tokens, of an input's cells.
fn in_pairs(plan: Plan) -> Plan {
    let lane = |boundary| Lane { name: "lane".into(), boundary };
    Plan {
        geometry: Geometry::new(6, 4, 2).unwrap(),
        lanes: vec![lane(Some(Port::Input(0)))],
        boundaries: vec![Boundary { port: Port::Input(0), lanes: vec![0], features: 2 }],
        functionals: vec![Functional { kind: TokenWeight::Row, entries: Vec::new() }],
        operands: (4..7).map(|row| operand(row, 0)).collect(),
        ..Plan { tables: plan.tables, ..Plan::default() }
    }
}

/// The full plan with a lane of its own, of which an equation reads the two first slots.
fn with_lane(mut plan: Plan) -> (Plan, u32) {
    let lane = plan.lanes.len() as u32;
    plan.lanes.push(Lane { name: "own".into(), boundary: None });
    let first = lane * plan.geometry.groups;
    plan.relations.push(Relation { count: 1, terms: vec![term(first), term(first + 1)] });
    (plan, lane)
}

/// Nothing is its own factor: a claim determines a slot only when its product follows from others.
#[test]
fn claims_wait_for_their_factors() {
    let unpinned = "(lane 'lane', group 0) is read, but nothing determines it";
    let product = PRODUCT * GROUPS;
    refused(unpinned, |plan| plan.operands[1].terms[0].slot = product);
    refused(unpinned, |plan| plan.right_operands[0].terms[0].slot = product);
    refused("group 1) is read, but nothing determines it", |plan| plan.functionals[0].entries[0].slot = product + 1);
    // The second output of a matrix, as the input of both.
    refused(unpinned, |plan| {
        (plan.weight_columns, plan.tiles[0].outputs) = (2, 2);
        for i in [1, 2] {
            plan.operands[i].monomial = rho(i as u32 + 1);
            plan.claims[i].monomial = rho(i as u32 + 1);
        }
        plan.claims.push(claim(1, product + 2));
        plan.operands[0].terms[0].slot = product + 2;
    });
}

/// A product of a functional may be the factor of another one.
#[test]
fn claims_wait_for_their_own_factors_alone() {
    let (mut plan, product) = (full(), PRODUCT * GROUPS);
    let entries = vec![FunctionalEntry { slot: product + 1, row: 5, rho: 0 }];
    plan.functionals.push(Functional { kind: TokenWeight::Eta, entries });
    plan.operands.push(Operand { monomial: rho(3), ..operand(5, X * GROUPS) });
    plan.claims.push(claim(3, product + 2));
    check(&plan).expect("each follows from those before");
}

/// A gate over one lane bounds it where it leaves two roots, both in the range table.
#[test]
fn gates_over_one_lane_have_small_roots() {
    let of = |first: i64, coef: i64, constant: i64, product: (i64, i64)| {
        let (mut plan, lane) = with_lane(full());
        let form = |coef, constant| RowForm { terms: vec![(lane, coef)], constant };
        let c = match product {
            (0, constant) => RowForm { terms: Vec::new(), constant },
            (coef, constant) => form(coef, constant),
        };
        let [a, b] = [form(1, first), form(coef, constant)];
        plan.gates.push(Gate { name: "roots".into(), selector: None, a, b, c });
        check(&plan).map(drop).map_err(|error| error.to_string())
    };
    let gate = |coef, constant, c| of(0, coef, constant, (0, c));
    for (coef, constant) in [(1, -1), (1, -15), (-1, 15), (2, -30), (0, 1)] {
        assert_eq!(gate(coef, constant, 0), Ok(()), "x ({coef} x + {constant}) = 0");
    }
    // Too great, negative, no integer, or anything at all; and roots of another polynomial.
    for (coef, constant, c) in [(1, -16, 0), (1, 1, 0), (2, -1, 0), (0, 0, 0), (1, -1, 1)] {
        let error = gate(coef, constant, c).expect_err("roots that the range table lacks");
        assert!(error.contains("(lane 'own', group 0) is read, but nothing determines it"), "{error}");
    }
    assert!(of(-1, 1, -2, (0, 0)).is_ok() && of(-16, 1, -2, (0, 0)).is_err(), "16 is too great");
    assert!(of(0, 1, -1, (1, 0)).is_err(), "x (x - 1) = x has other roots");
}

/// Gates determine the products, and tables the values, of what is determined from the start.
#[test]
fn products_and_values_follow_from_inputs() {
    let form = |lane, coef| RowForm { terms: vec![(lane, coef)], constant: 0 };
    let gate = |[a, b]: [u32; 2], coef, selector| {
        let (mut plan, lane) = with_lane(full());
        let [a, b] = [a, b].map(|factor| form(factor, 1));
        plan.gates.push(Gate { name: "product".into(), selector, a, b, c: form(lane, coef) });
        check(&plan).is_ok()
    };
    let own = full().lanes.len() as u32;
    assert!(gate([X, Z], 1, None), "the product of two inputs");
    assert!(
        !gate([X, Z], 0, None) && !gate([X, own], 1, None) && !gate([X, KEY], 1, None) && !gate([X, Z], 1, Some(0))
    );
    let value = |key, mask| {
        let (mut plan, lane) = with_lane(full());
        plan.lookups.push(Lookup { a: key, b: Some(lane), tag: Tag::Table(1), mask });
        check(&plan).is_ok()
    };
    assert!(value(X, None), "the value at an input");
    assert!(!value(KEY, None) && !value(X, Some(0)));
}

/// Lanes of which equations read every slot, each by one, and of which lookups hold a slot's first token.
fn half_held(lanes: u32, tokens: u32) -> Plan {
    let geometry = Geometry::new(20, 8, tokens).unwrap();
    let groups = geometry.groups;
    let held = (0..groups).map(|group| (group * tokens, 1, 1)).collect();
    let relation = |lane| {
        let slot = Term { coef: 1, slot: lane * groups, stride: 1 };
        Relation { count: groups, terms: vec![slot] }
    };
    Plan {
        geometry,
        lanes: (0..lanes).map(|_| Lane { name: "lane".into(), boundary: None }).collect(),
        fixed: vec![FixedColumn { name: "fixed".into(), runs: held }],
        lookups: (0..lanes).map(|a| Lookup { a, b: None, tag: Tag::Table(0), mask: Some(0) }).collect(),
        relations: (0..lanes).map(relation).collect(),
        ..Plan::default()
    }
}

#[test]
fn free_cells_are_listed_and_bounded() {
    let report = check(&half_held(1, 3)).unwrap();
    assert_eq!([0, 1, 2].map(|token| report.is_free(5, token)), [false, true, true]);
    assert!(!report.is_free(report.free.len() as u32, 1), "no such slot");
    assert_eq!(report.free_cells(), 2 * report.free.len());
    let unread = Plan { relations: Vec::new(), ..half_held(1, 3) };
    assert_eq!(check(&unread).unwrap().free_cells(), 0, "what nothing reads matters to nobody");
    let entries = vec![FunctionalEntry { slot: 5, row: 0, rho: 0 }];
    let functionals = vec![Functional { kind: TokenWeight::Eta, entries }];
    let operands = vec![operand(0, 6)];
    let multiplied = Plan { functionals, operands, relations: Vec::new(), ..half_held(1, 3) };
    let verdict = check(&multiplied);
    assert!(matches!(verdict, Err(CheckError::FreeRead { slot: 5, .. })), "a factor is read: {verdict:?}");
    let bounded = |lanes, tokens, reason: &str| {
        check(&half_held(lanes - 1, tokens)).expect("fits");
        let error = check(&half_held(lanes, tokens)).expect_err(reason).to_string();
        assert!(error.contains(reason), "refused by another check than '{reason}': {error}");
    };
    bounded(3, 2, "the number of slots with free cells is 1048577, at most 1048576");
    bounded(17, 512, "the number of free cells is");
}
