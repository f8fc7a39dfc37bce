//! What stands behind the list of the places of a mask.

use std::{collections::HashMap, rc::Rc};

/// All rows: one for each combination of coordinates, the last coordinate fastest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// The value that is not 0 at the rows that count.
    pub mask: String,
    /// The number of values of each coordinate.
    pub lengths: Vec<usize>,
    /// The coordinates of the mask; those behind them are axes of the rows that were made rows themselves.
    pub own: usize,
}

impl Grid {
    /// The number of combinations of some coordinates.
    pub fn count(&self, coords: &[usize]) -> usize {
        coords.iter().map(|&c| self.lengths[c]).product()
    }

    /// All coordinates.
    pub fn coords(&self) -> Vec<usize> {
        (0..self.lengths.len()).collect()
    }

    /// For each combination of the coordinates `to` the place of its part `from` among the combinations of those.
    pub fn spread(&self, from: &[usize], to: &[usize]) -> Vec<usize> {
        let place = |row: usize| {
            let (mut left, mut stride, mut place) = (row, 1, 0);
            for &c in to.iter().rev() {
                if from.contains(&c) {
                    place += left % self.lengths[c] * stride;
                    stride *= self.lengths[c];
                }
                left /= self.lengths[c];
            }
            place
        };
        (0..self.count(to)).map(place).collect()
    }

    /// The lengths of all coordinates, 1 for those that are not in `coords`.
    pub fn shape(&self, coords: &[usize]) -> Vec<i64> {
        self.coords().iter().map(|c| if coords.contains(c) { self.lengths[*c] as i64 } else { 1 }).collect()
    }
}

/// All of both, in order.
pub(super) fn union(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether all of `a` are in `b`.
pub(super) fn within(a: &[usize], b: &[usize]) -> bool {
    a.iter().all(|c| b.contains(c))
}

/// A whole number for each combination of some coordinates.
#[derive(Debug)]
pub(super) struct Column {
    pub coords: Vec<usize>,
    pub values: Vec<i64>,
}

impl Column {
    /// Without the coordinates that change nothing.
    pub fn reduced(self, grid: &Grid) -> Column {
        let mut column = self;
        for c in column.coords.clone() {
            let coords: Vec<usize> = column.coords.iter().copied().filter(|&other| other != c).collect();
            let mut values = vec![None; grid.count(&coords)];
            let places = grid.spread(&coords, &column.coords);
            let same = |(&value, &place): (&i64, &usize)| *values[place].get_or_insert(value) == value;
            if column.values.iter().zip(&places).all(same) {
                column = Column { coords, values: values.into_iter().flatten().collect() };
            }
        }
        column
    }
}

/// Whole numbers that follow from the place of a row: the rows along one axis, and `columns` along the other of two.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub grid: Rc<Grid>,
    pub columns: Vec<Rc<Column>>,
    /// How often the one column is repeated.
    pub times: usize,
    /// What the numbers of the columns are yet to be divided by.
    pub divisor: i64,
    pub rank: usize,
    pub row_axis: usize,
}

impl Index {
    pub fn width(&self) -> usize {
        self.columns.len() * self.times
    }
}

/// A tensor with the rows along one axis.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// The value that holds them.
    pub name: String,
    pub grid: Rc<Grid>,
    /// The coordinates that they depend on; there is one row for each combination of these.
    pub coords: Vec<usize>,
    pub axis: usize,
    /// The shape; the length of the axis of the rows says nothing.
    pub dims: Vec<usize>,
    /// What they are yet to be multiplied by, of the same rank.
    pub factor: Option<Box<Rows>>,
    /// The only value of the first coordinate, where the rows are those of one expert.
    pub expert: Option<usize>,
}

/// A length.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Fixed(i64),
    /// The number of rows that count.
    Rows(Rc<Grid>),
    /// The number of rows of a mask whose first coordinate is `expert`.
    Count {
        mask: Rc<str>,
        expert: usize,
    },
}

/// A value that depends on how many rows count.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Index(Index),
    Rows(Rows),
    Lengths(Vec<Entry>),
}

impl Value {
    /// Its shape.
    pub fn lengths(&self) -> Vec<Entry> {
        let at = |rank: usize, row_axis: usize, grid: &Rc<Grid>, dims: &dyn Fn(usize) -> usize| {
            let entry = |a| if a == row_axis { Entry::Rows(grid.clone()) } else { Entry::Fixed(dims(a) as i64) };
            (0..rank).map(entry).collect()
        };
        match self {
            Value::Index(i) => at(i.rank, i.row_axis, &i.grid, &|_| i.width()),
            Value::Rows(r) => at(r.dims.len(), r.axis, &r.grid, &|a| r.dims[a]),
            Value::Lengths(entries) => vec![Entry::Fixed(entries.len() as i64)],
        }
    }
}

/// What is known of the values behind masks, by name.
pub(super) type Values = HashMap<String, Value>;
