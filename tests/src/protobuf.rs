//! The message tree of a protobuf file.

/// A field of a protobuf message.
#[derive(Clone)]
pub struct Field {
    /// Number of the field.
    pub number: u64,
    /// Content.
    pub value: Value,
}

/// What a field holds.
#[derive(Clone)]
pub enum Value {
    /// A number of variable length.
    Varint(u64),
    /// Four or eight bytes.
    Fixed(Vec<u8>),
    /// A string, or packed numbers.
    Bytes(Vec<u8>),
    /// A nested message.
    Message(Vec<Field>),
}

/// A variable-length number.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A message, if the bytes are one: strings that happen to read as a message do no harm here.
pub fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_varint(&mut bytes)?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => Value::Varint(read_varint(&mut bytes)?),
            1 => Value::Fixed(take(&mut bytes, 8)?.to_vec()),
            5 => Value::Fixed(take(&mut bytes, 4)?.to_vec()),
            2 => {
                let len = read_varint(&mut bytes)? as usize;
                let part = take(&mut bytes, len)?;
                let nested = if part.len() > 1 && depth < 8 { parse(part, depth + 1) } else { None };
                nested.map_or_else(|| Value::Bytes(part.to_vec()), Value::Message)
            }
            _ => return None,
        };
        if number == 0 || number > 64 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(part)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Writes a message.
pub fn write(fields: &[Field], out: &mut Vec<u8>) {
    for field in fields {
        let wire = match &field.value {
            Value::Varint(_) => 0,
            Value::Fixed(bytes) if bytes.len() == 8 => 1,
            Value::Fixed(_) => 5,
            _ => 2,
        };
        out.extend(varint(field.number << 3 | wire));
        match &field.value {
            Value::Varint(value) => out.extend(varint(*value)),
            Value::Fixed(bytes) => out.extend(bytes),
            Value::Bytes(bytes) => {
                out.extend(varint(bytes.len() as u64));
                out.extend(bytes);
            }
            Value::Message(fields) => {
                let mut inner = Vec::new();
                write(fields, &mut inner);
                out.extend(varint(inner.len() as u64));
                out.extend(inner);
            }
        }
    }
}
