//! The kinds of numbers in storages, and how bytes become `f32` and `i64`.

/// The kind of one number of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    Bool,
    /// A kind whose tensors are skipped; its width tells where the next storage begins.
    Skipped {
        width: usize,
    },
}

impl Element {
    /// Bytes of one number.
    pub(super) fn width(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::F16 | Element::Bf16 | Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 => 8,
            Element::Skipped { width } => width,
        }
    }

    /// The kind of a PyTorch storage class, such as `FloatStorage`.
    pub(super) fn of_storage_class(class: &str) -> Option<Element> {
        Some(match class {
            "HalfStorage" => Element::F16,
            "BFloat16Storage" => Element::Bf16,
            "FloatStorage" => Element::F32,
            "DoubleStorage" => Element::F64,
            "CharStorage" => Element::I8,
            "ShortStorage" => Element::I16,
            "IntStorage" => Element::I32,
            "LongStorage" => Element::I64,
            "ByteStorage" => Element::U8,
            "BoolStorage" => Element::Bool,
            "ComplexFloatStorage" => Element::Skipped { width: 8 },
            "ComplexDoubleStorage" => Element::Skipped { width: 16 },
            "QInt32Storage" => Element::Skipped { width: 4 },
            "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage"
            | "UntypedStorage" => Element::Skipped { width: 1 },
            _ => return None,
        })
    }
}

/// Turns big-endian numbers of `width` bytes into little-endian ones, in place.
pub(super) fn reverse_each(bytes: &mut [u8], width: usize) {
    for number in bytes.chunks_exact_mut(width) {
        number.reverse();
    }
}

/// The value of an IEEE 754 half-precision number, exactly.
pub(super) fn f32_of_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        // Subnormal: a whole number of 2^-24, which `f32` holds exactly.
        0 => fraction as f32 / (1 << 24) as f32,
        // Infinity or not a number.
        0x1f => f32::from_bits(0xff << 23 | fraction << 13),
        // The exponent's bias is 15 in half and 127 in single precision.
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    f32::from_bits(sign | magnitude.to_bits())
}

/// The value of a bfloat16 number, which is the upper half of an `f32`.
pub(super) fn f32_of_bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_has_the_value_of_its_definition() {
        for bits in 0..=u16::MAX {
            let exponent = i32::from(bits >> 10 & 0x1f);
            let fraction = f64::from(bits & 0x3ff) / 1024.0;
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let value = f32_of_half(bits);
            if exponent == 31 && fraction > 0.0 {
                assert!(value.is_nan());
                continue;
            }
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(-14),
                31 => f64::INFINITY,
                _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
            };
            assert_eq!(f64::from(value), sign * magnitude, "{bits:#06x}");
            assert_eq!(value.is_sign_negative(), sign < 0.0, "{bits:#06x}");
        }
    }

    #[test]
    fn big_endian_numbers_are_turned_around() {
        let mut bytes = [1, 2, 3, 4];
        reverse_each(&mut bytes, 2);
        assert_eq!(bytes, [2, 1, 4, 3]);
    }
}
