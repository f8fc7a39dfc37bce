//! Values of arguments that several commands take.

/// Bytes given as hexadecimal digits.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let digit = |c: u8| (c as char).to_digit(16).ok_or_else(|| "not a hexadecimal digit string".to_string());
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err("an even number of hexadecimal digits is needed".into());
    }
    digits.chunks(2).map(|p| Ok((digit(p[0])? * 16 + digit(p[1])?) as u8)).collect()
}

/// A number of bytes, with K, M, G or T for powers of 1000 behind it.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, 0),
        Some(end) => {
            let unit = text[end..].trim().trim_end_matches(['B', 'b']).to_ascii_uppercase();
            let power = ["", "K", "M", "G", "T"].iter().position(|u| *u == unit);
            (&text[..end], power.ok_or("expected bytes, for example 4G or 800M")?)
        }
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(1000u64.pow(power as u32)));
    bytes.filter(|n| *n > 0).ok_or_else(|| "expected bytes, for example 4G or 800M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(["17", "3K", "800 MB", "2g"].map(parse_bytes), [17, 3000, 800_000_000, 2_000_000_000].map(Ok));
        for wrong in ["", "0", "-1", "1.5G", "G", "1X", "1 kk", "99999999999999999999", "99999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hex() {
        assert_eq!(parse_hex("0x00fF"), Ok(vec![0, 255]));
        assert!(parse_hex("abc").is_err() && parse_hex("").is_err() && parse_hex("zz").is_err());
    }
}
