//! `Requant`, `Range` and `Table`.

/// The cells of one requantised value: `x + 2^(s-1) = (y + excess) 2^s + remainder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The result.
    pub y: i64,
    /// In `[0, 2^s)`.
    pub remainder: i64,
    /// What clamping took away: positive when y is at its upper limit, negative at its lower, 0 otherwise.
    pub excess: i64,
}

/// Requantises `x` by `shift` bits; with `clamp_bits = Some(w)` the result saturates to `[-2^(w-1), 2^(w-1))`.
pub fn parts(x: i64, shift: u32, clamp_bits: Option<u32>) -> Parts {
    let (floor, remainder) = round_shift(x, shift);
    let y = match clamp_bits {
        None => floor,
        Some(w) => floor.clamp(-(1 << (w - 1)), (1 << (w - 1)) - 1),
    };
    Parts { y, remainder, excess: floor - y }
}

/// `floor((x + 2^(shift-1)) / 2^shift)` and its remainder; the identity for `shift = 0`.
pub fn round_shift(x: i64, shift: u32) -> (i64, i64) {
    if shift == 0 {
        return (x, 0);
    }
    let biased = i128::from(x) + (1i128 << (shift - 1));
    ((biased >> shift) as i64, (biased & ((1i128 << shift) - 1)) as i64)
}

/// Whether `x` lies in `[-2^(bits-1), 2^(bits-1))`.
pub fn in_limbs(x: i64, bits: u32) -> bool {
    bits >= 64 || (bits > 0 && (-(1i128 << (bits - 1))..1i128 << (bits - 1)).contains(&x.into()))
}

/// `table[x + len/2]`, or `x` when outside the table.
///
/// # Errors
/// `x` when it is outside the table.
pub fn lookup(table: &[i64], x: i64) -> Result<i64, i64> {
    let index = i128::from(x) + (table.len() / 2) as i128;
    usize::try_from(index).ok().and_then(|i| table.get(i).copied()).ok_or(x)
}

/// The result of a requantisation, or the result as an error when it does not fit `out_bits`.
pub(super) fn checked(x: i64, shift: u32, out_bits: u32, clamp: bool) -> Result<i64, i64> {
    let y = parts(x, shift, clamp.then_some(out_bits)).y;
    if in_limbs(y, out_bits) { Ok(y) } else { Err(y) }
}
