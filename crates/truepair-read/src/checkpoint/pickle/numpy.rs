//! NumPy scalars, which research code leaves in checkpoints where it meant numbers.

use super::value::Value;

/// The part of a `numpy.dtype` that matters for scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkpoint) struct NumberType {
    kind: Kind,
    width: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl NumberType {
    /// The type that NumPy calls `code`, such as `f8`; `None` if its scalars are no plain numbers.
    pub(super) fn of(code: &str) -> Option<Self> {
        let (kind, width) = match code {
            "b1" => (Kind::Bool, 1),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "u1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            "f2" => (Kind::Float, 2),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            width,
            big_endian: false,
        })
    }

    /// Takes NumPy's mark of the byte order: `>` is big-endian.
    pub(super) fn set_byte_order(&mut self, mark: &str) {
        self.big_endian = mark == ">";
    }

    /// The number with these bytes; `None` if they are not as many as the type has, or the number
    /// does not fit into a signed 64-bit integer.
    pub(super) fn number(self, bytes: &[u8]) -> Option<Value> {
        if bytes.len() != self.width {
            return None;
        }
        let mut little = [0; 8];
        little[..self.width].copy_from_slice(bytes);
        if self.big_endian {
            little[..self.width].reverse();
        }
        let bits = u64::from_le_bytes(little);
        let unused = 64 - 8 * self.width as u32;
        Some(match self.kind {
            Kind::Bool => Value::Bool(bits != 0),
            Kind::Signed => Value::Int((bits << unused).cast_signed() >> unused),
            Kind::Unsigned => Value::Int(i64::try_from(bits).ok()?),
            Kind::Float => Value::Float(self.float(bits)),
        })
    }

    fn float(self, bits: u64) -> f64 {
        match self.width {
            2 => crate::checkpoint::element::f32_of_half(bits as u16).into(),
            4 => f32::from_bits(bits as u32).into(),
            _ => f64::from_bits(bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(code: &str, byte_order: &str, bytes: &[u8]) -> Option<Value> {
        let mut number_type = NumberType::of(code).unwrap();
        number_type.set_byte_order(byte_order);
        number_type.number(bytes)
    }

    #[test]
    fn integers_keep_their_sign_and_byte_order() {
        let int = |value| match value {
            Some(Value::Int(integer)) => integer,
            other => panic!("{other:?}"),
        };
        assert_eq!(int(number("i2", "<", &[0xfe, 0xff])), -2);
        assert_eq!(int(number("u2", "<", &[0xfe, 0xff])), 0xfffe);
        assert_eq!(int(number("i4", ">", &[0, 0, 1, 2])), 0x102);
        assert!(number("u8", "<", &[0xff; 8]).is_none());
        assert!(number("i4", "<", &[0; 3]).is_none());
    }

    #[test]
    fn floats_of_every_width() {
        let float = |value| match value {
            Some(Value::Float(float)) => float,
            other => panic!("{other:?}"),
        };
        assert_eq!(float(number("f2", "<", &[0x00, 0x3e])), 1.5);
        assert_eq!(float(number("f4", ">", &1.5f32.to_be_bytes())), 1.5);
        assert_eq!(float(number("f8", "=", &1.5f64.to_le_bytes())), 1.5);
        assert!(NumberType::of("U3").is_none());
    }
}
