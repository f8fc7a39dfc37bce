//! Plans that no compiler makes: what a stranger's file could hold.

use nanozk_plan::check::{CheckError, check};
use nanozk_plan::{Boundary, FixedColumn, Geometry, Lane, Lookup, Plan, Port, Public, Relation, Tag, Term};

const GROUPS: u32 = 12;

fn term(coef: i64, slot: u32) -> Term {
    Term { coef, slot, stride: 0 }
}

fn relation(terms: Vec<Term>) -> Relation {
    Relation { count: 1, terms }
}

fn lane(name: &str, boundary: Option<Port>) -> Lane {
    Lane { name: name.into(), boundary }
}

/// y = x + z of two committed inputs x and z, and of one output y.
fn sum() -> Plan {
    let ports = [Port::Input(0), Port::Input(1), Port::Output(0)];
    Plan {
        geometry: Geometry::new(6, 4, 4).unwrap(),
        lanes: ports.iter().map(|port| lane("", Some(*port))).collect(),
        boundaries: (0..).zip(ports).map(|(lane, port)| Boundary { port, lanes: vec![lane], features: 1 }).collect(),
        relations: vec![relation(vec![term(1, 0), term(1, GROUPS), term(-1, 2 * GROUPS)])],
        ..Plan::default()
    }
}

fn refused(change: impl Fn(&mut Plan)) -> CheckError {
    let mut plan = sum();
    assert_eq!(plan.geometry.groups, GROUPS);
    check(&plan).unwrap();
    change(&mut plan);
    check(&plan).unwrap_err()
}

/// Rows that are data and mask at once would let the re-randomised weight fold differ from the committed weights.
#[test]
fn data_rows_end_before_the_mask_rows() {
    refused(|plan| plan.geometry.groups += 1);
    refused(|plan| plan.geometry.groups = 16);
    refused(|plan| plan.geometry.groups = 0);
    refused(|plan| plan.geometry.tokens = 0);
    refused(|plan| plan.geometry.k = 2);
    refused(|plan| plan.geometry.k = 0);
    // A table that does not fit its rows.
    refused(|plan| plan.geometry.limb_bits = 6);
}

/// Lanes that two tensors share have the commitment of one of them: the other is tied to nothing.
#[test]
fn every_tensor_has_its_own_lanes() {
    refused(|plan| {
        plan.boundaries[2].lanes = vec![0];
        plan.relations.clear();
        plan.relations.push(relation(vec![term(1, 0), term(-1, 0)]));
    });
    refused(|plan| plan.boundaries[1].lanes = vec![0]);
    refused(|plan| plan.boundaries[1].port = Port::Input(0));
    refused(|plan| plan.boundaries[2].port = Port::Input(0));
    refused(|plan| plan.lanes[1].boundary = Some(Port::Input(0)));
    refused(|plan| plan.lanes[1].boundary = None);
    refused(|plan| plan.lanes.push(lane("", Some(Port::Input(2)))));
}

/// A public output is no reason for a cell: it has to follow from others.
#[test]
fn public_outputs_are_determined() {
    let public = |terms: fn(u32) -> Vec<Term>| {
        let mut plan = sum();
        plan.lanes[2].boundary = None;
        plan.boundaries[2].lanes.clear();
        plan.publics = vec![Public::Tensor { port: Port::Output(0), features: 1 }];
        plan.relations = vec![relation(terms(plan.lane_slots()))];
        check(&plan)
    };
    public(|out| vec![term(1, 0), term(1, GROUPS), term(-1, out)]).unwrap();
    let unbound = |result| assert!(matches!(result, Err(CheckError::Unbound { .. })), "{result:?}");
    unbound(public(|_| vec![term(1, 0), term(1, GROUPS), term(-1, 2 * GROUPS)]));
    unbound(public(|out| vec![term(1, 2 * GROUPS), term(-1, out)]));
    unbound(public(|out| vec![term(0, out), term(1, 0)]));
    unbound(public(|out| vec![term(1, out), term(-1, out)]));
}

/// With two more lanes, whose slots are digits of 4 bits: their first ones.
fn with_digits(mut plan: Plan) -> (Plan, [u32; 2]) {
    let digits = [0, 1].map(|_| {
        let a = plan.lanes.len() as u32;
        plan.lanes.push(lane("digit", None));
        plan.lookups.push(Lookup { a, b: None, tag: Tag::Table(0), mask: None });
        a * GROUPS
    });
    (plan, digits)
}

fn argued(plan: &Plan) -> Vec<u32> {
    check(plan).unwrap().argued.into_iter().collect()
}

/// Digits follow from their sum when nothing else is in it.
#[test]
fn digits_follow_from_their_sum_alone() {
    let of = |rest: bool| {
        let (mut plan, [low, high]) = with_digits(sum());
        let unknown = plan.lanes.len() as u32 * GROUPS;
        plan.lanes.push(lane("unknown", None));
        let mut terms = vec![term(1, low), term(16, high), term(-1, 0)];
        terms.extend(rest.then_some(term(256, unknown)));
        plan.relations.push(relation(terms));
        argued(&plan)
    };
    assert_eq!((of(false), of(true).len()), (vec![], 2));
}

/// A maximum that is at no distance from one of its group follows from all distances: none is less argued than another.
#[test]
fn distances_of_a_group_are_argued_at_once() {
    let (mut plan, digits) = with_digits(sum());
    let maximum = plan.lanes.len() as u32 * GROUPS;
    plan.lanes.push(lane("maximum", None));
    let at = |input, digit| relation(vec![term(1, input), term(1, digit), term(-1, maximum)]);
    plan.relations.extend([at(0, digits[0]), at(GROUPS, digits[1])]);
    assert_eq!(argued(&plan), digits);
}

/// What follows from argued slots is not argued itself, wherever its equation stands.
#[test]
fn no_more_is_argued_than_needed() {
    let (plan, [low, high]) = with_digits(sum());
    let (mut plan, [follows, _]) = with_digits(plan);
    let unknown = plan.lanes.len() as u32 * GROUPS;
    plan.lanes.push(lane("unknown", None));
    plan.relations.extend([
        relation(vec![term(1, follows), term(256, unknown), term(-1, 0)]),
        relation(vec![term(1, low), term(1, high), term(-1, 0)]),
        relation(vec![term(1, unknown), term(-1, low)]),
    ]);
    assert_eq!(argued(&plan), [low, high]);
}

/// A lookup of some slots of a lane says nothing of the others.
#[test]
fn slots_that_are_not_looked_up_are_not_bounded() {
    let (mut plan, [first, _]) = with_digits(sum());
    plan.fixed.push(FixedColumn { name: "first".into(), runs: vec![(0, plan.geometry.tokens, 1)] });
    plan.lookups[0].mask = Some(0);
    plan.relations.push(relation(vec![term(1, first), term(1, first + 1), term(-1, 0)]));
    assert_eq!(argued(&plan), [first]);
}

/// What the checker does not see: two digits of one weight have many solutions, and it takes them for a quotient whose
/// uniqueness others argue. It lists them, and a plan from a stranger may mean nothing but its list.
#[test]
fn bounded_cells_are_listed_and_not_refused() {
    let (mut plan, digits) = with_digits(sum());
    plan.relations[0].terms = vec![term(1, digits[0]), term(1, digits[1]), term(-1, 0)];
    plan.relations.push(relation(vec![term(1, digits[0]), term(-1, 2 * GROUPS)]));
    assert_eq!(argued(&plan), digits);
}

/// `M y + M y - M y - M y = 0` says nothing of y, however sums of factors are kept.
#[test]
fn factors_that_cancel_determine_nothing() {
    let y = 2 * GROUPS;
    for great in [1, i64::MAX / 2, i64::MAX] {
        let factors = [great, great, -great, -great];
        let error = refused(|plan| {
            plan.relations = vec![relation(factors.map(|coef| term(coef, y)).into())];
        });
        assert!(matches!(error, CheckError::Unpinned { .. } | CheckError::Unbound { .. }), "{error}");
    }
    let error = refused(|plan| plan.relations.push(relation(vec![term(i64::MAX, y), term(i64::MAX, y)])));
    assert!(matches!(error, CheckError::Coefficient { .. }), "{error}");
}

/// A chosen token that an equation mentions, but that nothing determines, could be any.
#[test]
fn an_output_token_must_follow_from_the_inputs() {
    let error = refused(|plan| {
        let port = Port::Output(1);
        plan.boundaries.push(Boundary { port, lanes: Vec::new(), features: 1 });
        plan.publics = vec![Public::One, Public::OneHot { port, feature: 0, count: 2 }];
        let one = plan.lane_slots();
        plan.relations.push(relation(vec![term(1, one + 1), term(1, one + 2), term(-1, one)]));
    });
    assert!(matches!(error, CheckError::Unbound { port: Port::Output(1), .. }), "{error}");
}

/// Repetitions of one equation are argued together, however many there are.
#[test]
fn repetitions_are_argued_at_once() {
    let features = 6000;
    let geometry = Geometry::new(13, 4, 1).unwrap();
    let at = |coef, lane: u32| Term { coef, slot: lane * geometry.groups, stride: 1 };
    let lanes = [Some(Port::Output(0)), None, None].map(|port| lane("", port)).to_vec();
    let plan = Plan {
        geometry,
        lookups: [1, 2].map(|a| Lookup { a, b: None, tag: Tag::Table(0), mask: None }).to_vec(),
        boundaries: vec![Boundary { port: Port::Output(0), lanes: vec![0], features }],
        relations: vec![Relation { count: features, terms: vec![at(1, 1), at(1, 2), at(-1, 0)] }],
        lanes,
        ..Plan::default()
    };
    assert_eq!(check(&plan).unwrap().argued.len(), 2 * features as usize);
}
