//! `Recip` and `RSqrt`: exact floors.

/// `floor(c / z)`; `None` unless `c >= 0` and `z >= 1`.
pub fn recip(c: i64, z: i64) -> Option<i64> {
    (c >= 0 && z >= 1).then(|| c / z)
}

/// The largest r with `r^2 v <= c`; `None` unless `c >= 0` and `v >= 1`.
pub fn rsqrt(c: i64, v: i64) -> Option<i64> {
    (c >= 0 && v >= 1).then(|| (c / v).isqrt())
}
