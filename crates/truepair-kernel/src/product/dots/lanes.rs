//! Sixteen `f32` numbers at a time, on processors with AVX-512, with AVX2, and elsewhere.
//!
//! Every implementation does the same operations on the same sixteen lanes, so a sum has the same bits
//! wherever multiplication and addition are fused; only a processor without fused arithmetic differs.

/// Numbers added up side by side.
pub(super) const N_LANES: usize = 16;

/// Sixteen numbers in registers.
///
/// # Safety
/// Every method needs the instructions of its implementation, and pointers with as many readable
/// numbers as it says.
pub(super) trait Lanes {
    /// The registers.
    type V: Copy;
    /// Queries and rows of which a product is computed at once, so that all sums stay in registers.
    const QUERIES: usize;
    /// Sixteen zeros.
    unsafe fn zero() -> Self::V;
    /// Sixteen numbers from `at`.
    unsafe fn load(at: *const f32) -> Self::V;
    /// `n < 16` numbers from `at`, then zeros.
    unsafe fn load_part(at: *const f32, n: usize) -> Self::V;
    /// Sixteen half-precision numbers from `at`.
    unsafe fn load_half(at: *const u16) -> Self::V;
    /// `n < 16` half-precision numbers from `at`, then zeros.
    unsafe fn load_half_part(at: *const u16, n: usize) -> Self::V;
    /// `a b + sum`
    unsafe fn multiply_add(a: Self::V, b: Self::V, sum: Self::V) -> Self::V;
    /// `a − b`
    unsafe fn subtract(a: Self::V, b: Self::V) -> Self::V;
    /// The sum of the lanes: halves are added until one number is left.
    unsafe fn sum(v: Self::V) -> f32;
    /// Writes sixteen numbers to `at`.
    unsafe fn store(v: Self::V, at: *mut f32);
}

/// Any processor.
pub(super) struct Plain;

#[inline(always)]
fn fused(a: f32, b: f32, sum: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, sum)
    } else {
        a * b + sum
    }
}

impl Lanes for Plain {
    type V = [f32; N_LANES];
    const QUERIES: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; N_LANES]
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self::V {
        // SAFETY: the caller says that sixteen numbers are there.
        unsafe { at.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_part(at: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller says that `n` numbers are there.
        std::array::from_fn(|lane| {
            if lane < n {
                unsafe { *at.add(lane) }
            } else {
                0.0
            }
        })
    }

    #[inline(always)]
    unsafe fn load_half(at: *const u16) -> Self::V {
        // SAFETY: the caller says that sixteen numbers are there.
        std::array::from_fn(|lane| wide_half(unsafe { *at.add(lane) }))
    }

    #[inline(always)]
    unsafe fn load_half_part(at: *const u16, n: usize) -> Self::V {
        // SAFETY: the caller says that `n` numbers are there.
        let number = |lane| wide_half(unsafe { *at.add(lane) });
        std::array::from_fn(|lane| if lane < n { number(lane) } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
        std::array::from_fn(|lane| fused(a[lane], b[lane], sum[lane]))
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let eight: [f32; 8] = std::array::from_fn(|lane| v[lane] + v[lane + 8]);
        let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[inline(always)]
    unsafe fn store(v: Self::V, at: *mut f32) {
        // SAFETY: the caller says that there is room for sixteen numbers.
        unsafe { at.cast::<Self::V>().write_unaligned(v) }
    }
}

/// A half-precision number, exactly.
pub(super) fn wide_half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff);
    let magnitude = match rest >> 10 {
        // Subnormal: a multiple of 2⁻²⁴.
        0 => (rest as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        31 => 0x7f80_0000 | (rest & 0x3ff) << 13,
        _ => (rest << 13) + (112 << 23),
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! SAFETY of all blocks here: the trait's methods are called where the processor was found to have
    //! the instructions, with pointers to as many numbers as they say.
    use std::arch::x86_64::*;

    use super::{Lanes, Plain};

    /// Processors with AVX-512 (F, BW, VL).
    pub(in super::super) struct Avx512;

    impl Lanes for Avx512 {
        type V = __m512;
        const QUERIES: usize = 4;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(at: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(at) }
        }

        #[inline(always)]
        unsafe fn load_part(at: *const f32, n: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps((1 << n) - 1, at) }
        }

        #[inline(always)]
        unsafe fn load_half(at: *const u16) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
        }

        #[inline(always)]
        unsafe fn load_half_part(at: *const u16, n: usize) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((1 << n) - 1, at.cast())) }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: __m512, b: __m512, sum: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, sum) }
        }

        #[inline(always)]
        unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sum(v: __m512) -> f32 {
            unsafe {
                let low = _mm512_castps512_ps256(v);
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v)));
                sum_of_eight(_mm256_add_ps(low, high))
            }
        }

        #[inline(always)]
        unsafe fn store(v: __m512, at: *mut f32) {
            unsafe { _mm512_storeu_ps(at, v) }
        }
    }

    /// Processors with AVX2, FMA and F16C.
    pub(in super::super) struct Avx2;

    impl Lanes for Avx2 {
        type V = (__m256, __m256);
        const QUERIES: usize = 1;

        #[inline(always)]
        unsafe fn zero() -> Self::V {
            unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
        }

        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self::V {
            unsafe { (_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))) }
        }

        #[inline(always)]
        unsafe fn load_part(at: *const f32, n: usize) -> Self::V {
            unsafe { Self::load(Plain::load_part(at, n).as_ptr()) }
        }

        #[inline(always)]
        unsafe fn load_half(at: *const u16) -> Self::V {
            unsafe {
                let low = _mm256_cvtph_ps(_mm_loadu_si128(at.cast()));
                (low, _mm256_cvtph_ps(_mm_loadu_si128(at.add(8).cast())))
            }
        }

        #[inline(always)]
        unsafe fn load_half_part(at: *const u16, n: usize) -> Self::V {
            let mut bits = [0u16; 16];
            unsafe {
                bits.as_mut_ptr().copy_from_nonoverlapping(at, n);
                Self::load_half(bits.as_ptr())
            }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
            unsafe {
                (
                    _mm256_fmadd_ps(a.0, b.0, sum.0),
                    _mm256_fmadd_ps(a.1, b.1, sum.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn subtract(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
        }

        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            unsafe { sum_of_eight(_mm256_add_ps(v.0, v.1)) }
        }

        #[inline(always)]
        unsafe fn store(v: Self::V, at: *mut f32) {
            unsafe {
                _mm256_storeu_ps(at, v.0);
                _mm256_storeu_ps(at.add(8), v.1);
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_of_eight(eight: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
