//! What a gate bounds, on cells made by hand.

use super::*;
use crate::Budget;
use crate::emit::Emitted;
use crate::fill::Quantity;
use crate::options::Squares;
use crate::space::{RAW, Signature, Space, StripLookup, column, constant};
use nanozk_ir::int::{Node, ops};

/// Columns `a`, `b` and `c` of one slot, of which these are looked up in the range table, under one gate. The first token
/// does not see the slot.
fn strip(looked_up: &[usize], gate: StripGate) -> Emitted {
    let space = |name: &str, kind| Space { name: name.into(), kind, len: 1 };
    let pools = ["range", "raw", "keys", "values"].map(|name| space(name, SpaceKind::Pool));
    let columns = ["a", "b", "c"].map(|name| space(name, SpaceKind::Column));
    let lookups = looked_up.iter().map(|&a| StripLookup { a, b: None, tag: 0, visible_only: false }).collect();
    let signature = Signature {
        name: "strip".into(),
        columns: ["a", "b", "c"].map(String::from).into(),
        lookups,
        gates: vec![gate],
        spare_raw: None,
    };
    Emitted {
        spaces: pools.into_iter().chain(columns).collect(),
        strips: vec![Strip { signature, columns: COLUMNS.into(), len: 1, hidden: vec![(0, 1)] }],
        publics: vec![Public::One],
        boundaries: Vec::new(),
        relations: Vec::new(),
        groups: Vec::new(),
        fills: Vec::new(),
        tables: 1,
        params: 0,
        squares: Squares::Plain,
        budget: Budget::UNLIMITED,
    }
}

/// The spaces of the columns.
const COLUMNS: [SpaceId; 3] = [4, 5, 6];

fn gate(rows: Where, a: ColumnForm, b: ColumnForm, c: ColumnForm) -> StripGate {
    StripGate { name: "gate", rows, a, b, c }
}

fn graph() -> Graph {
    let node = |name: &str| Node {
        name: name.into(),
        op: ops::Const { rows: 1, data: vec![1] }.into(),
        inputs: Vec::new(),
        features: 1,
        lo: 0,
        hi: 1,
    };
    Graph { nodes: ["none", "gate's", "other"].map(node).into(), tables: 1, ..Graph::default() }
}

/// Whether the column has a bound: twice it is another looked-up cell, from which none follows.
fn is_bounded(mut emitted: Emitted, column: usize) -> bool {
    let twice = Expr::term(Atom::Cell(COLUMNS[column], 0), 2).plus(&Expr::atom(Atom::Cell(RANGE, 0)), -1);
    emitted.relations.push((0, twice));
    bounds(&emitted, &graph(), 2, 4, &Known::default()).is_ok()
}

#[test]
fn products_of_all_rows_alone_are_bounded() {
    let product = |rows| is_bounded(strip(&[0, 1], gate(rows, column(0), column(1), column(2))), 2);
    assert!(product(Where::Everywhere));
    assert!(!product(Where::Visible), "any element stands where a token does not see the slot");
    assert!(!product(Where::Hidden));
}

#[test]
fn lookups_of_visible_rows_bound_all_where_none_is_hidden() {
    let product = |hidden| {
        let mut emitted = strip(&[0, 1], gate(Where::Everywhere, column(0), column(1), column(2)));
        emitted.strips[0].hidden = hidden;
        emitted.strips[0].signature.lookups.iter_mut().for_each(|lookup| lookup.visible_only = true);
        is_bounded(emitted, 2)
    };
    assert!(product(Vec::new()) && !product(vec![(0, 1)]));
}

#[test]
fn gates_to_0_and_1_are_told_from_others() {
    let of = |rows, b, c| is_bounded(strip(&[1, 2], gate(rows, column(0), b, c)), 0);
    let less_one = || (vec![(0, 1)], -1);
    assert!(of(Where::Everywhere, less_one(), constant(0)), "0 or 1");
    assert!(of(Where::Everywhere, constant(3), constant(0)), "0");
    assert!(!of(Where::Everywhere, constant(0), constant(0)), "anything times 0");
    assert!(!of(Where::Everywhere, (vec![(1, 1)], 1), constant(0)), "anything where the factor is 0");
    assert!(!of(Where::Everywhere, less_one(), column(2)), "a root of a number");
    assert!(!of(Where::Everywhere, less_one(), constant(2)), "2 or -1");
    assert!(!of(Where::Hidden, less_one(), constant(0)), "anything where a token sees the slot");
}

#[test]
fn the_node_of_a_gate_that_wraps_is_named() {
    let mut emitted = strip(&[0], gate(Where::Everywhere, column(0), column(1), column(2)));
    emitted.strips[0].signature.lookups[0] = StripLookup { a: 0, b: Some(1), tag: 1, visible_only: false };
    let fill = |space, node| Fill {
        slot: (space, 0),
        count: 1,
        node,
        quantity: Quantity::Value,
        first: 0,
        add: 0,
        limb: None,
    };
    emitted.fills = vec![fill(COLUMNS[2], 1), fill(RAW, 2)];
    let known = Known { tables: vec![LIMIT], ..Known::default() };
    let error = bounds(&emitted, &graph(), 2, 4, &known).unwrap_err();
    assert!(matches!(&error, LayoutError::Wraps { node, .. } if node == "gate's"), "{error}");
}
