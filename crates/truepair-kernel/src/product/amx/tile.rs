//! The matrix tiles of the processor: eight registers of 16 rows of 64 bytes.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max, __m512i};
use std::marker::PhantomData;
use std::sync::LazyLock;

use super::Write;

/// Rows of the left factor, or columns of the right one, in a tile; also rows and columns of a tile
/// of sums.
pub(super) const LANES: usize = 16;
/// Rows and columns of the output that one call of [`Session::multiply`] sums.
pub(super) const SIDE: usize = 2 * LANES;
/// Inner indices in a tile of a factor.
pub(super) const STEP: usize = 32;

/// A tile of a packed factor: 16 rows of 32 numbers of 16 bits.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Tile(pub(super) [__m512i; LANES]);

impl Tile {
    /// All numbers 0.
    // SAFETY: a vector is plain bits, and all of them may be 0.
    pub(super) const ZERO: Self = Self(unsafe { std::mem::zeroed() });
}

/// Proof that this process may use tiles, and vectors of 512 bits that round to 16-bit numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::product) struct Amx(());

impl Amx {
    /// The proof, if processor and operating system allow. The first call asks the kernel for the
    /// register state of the tiles, on behalf of all threads.
    pub(in crate::product) fn get() -> Option<Self> {
        static ALLOWED: LazyLock<bool> = LazyLock::new(|| {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16")
                && has_tiles()
                && is_permitted()
        });
        ALLOWED.then_some(Self(()))
    }

    /// The proof for a test, or a line on standard error that the test has nothing to run on.
    #[cfg(test)]
    pub(crate) fn or_skip() -> Option<Self> {
        use std::io::Write as _;
        let proof = Self::get();
        if proof.is_none() {
            // Written past the macros, whose output the test harness keeps when a test passes.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: this processor has no matrix tiles (AMX)"
            );
        }
        proof
    }
}

fn has_tiles() -> bool {
    const EXTENDED_FEATURES: u32 = 7;
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    __get_cpuid_max(0).0 >= EXTENDED_FEATURES
        && __cpuid_count(EXTENDED_FEATURES, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// Asks Linux for the state of the tiles, which it grants only on demand because it makes the
/// frames of signals 8 KiB larger. Refused where a thread has too small a stack for signals.
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let status: i64;
    // SAFETY: a system call that takes two numbers, no pointer, and changes these three registers
    // only. A kernel that does not know the request answers with an error.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => status,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    status == 0
}

/// The memory format that `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    const EIGHT_FULL_TILES: Self = Self {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: first_eight(size_of::<__m512i>() as u16, 0),
        rows: first_eight(LANES as u8, 0),
    };
}

const fn first_eight<T: Copy>(a: T, b: T) -> [T; 16] {
    [a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b]
}

/// The assembly of a product of two by two tiles: loads or clears the sums, runs the lines once for
/// every step, of `$parts` tiles in each strip, and stores the sums. One block, because the compiler
/// does not keep tiles from one to the next.
macro_rules! sum_tiles {
    ($strips:ident, $sums:ident, $write:ident, $parts:literal, $($line:literal),* $(,)?) => {
        asm!(
            "test {add:e}, {add:e}",
            "jz 2f",
            "tileloadd tmm0, [{upper} + {stride}]",
            "tileloadd tmm1, [{upper} + {stride} + 64]",
            "tileloadd tmm2, [{lower} + {stride}]",
            "tileloadd tmm3, [{lower} + {stride} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            $($line,)*
            "add {left0}, {parts} * {tile}",
            "add {left1}, {parts} * {tile}",
            "add {right0}, {parts} * {tile}",
            "add {right1}, {parts} * {tile}",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{upper} + {stride}], tmm0",
            "tilestored [{upper} + {stride} + 64], tmm1",
            "tilestored [{lower} + {stride}], tmm2",
            "tilestored [{lower} + {stride} + 64], tmm3",
            parts = const $parts,
            tile = const size_of::<Tile>(),
            add = in(reg) u32::from($write == Write::Add),
            upper = in(reg) $sums.start,
            lower = in(reg) $sums.start.add(LANES * $sums.stride),
            stride = in(reg) $sums.stride * size_of::<f32>(),
            row = in(reg) size_of::<__m512i>(),
            left0 = inout(reg) $strips.left[0] => _,
            left1 = inout(reg) $strips.left[1] => _,
            right0 = inout(reg) $strips.right[0] => _,
            right1 = inout(reg) $strips.right[1] => _,
            steps = inout(reg) $strips.steps => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        )
    };
}

/// Two strips of tiles of either factor.
#[derive(Clone, Copy)]
pub(super) struct Strips {
    /// The first tiles of two strips of 16 rows.
    pub(super) left: [*const Tile; 2],
    /// The first tiles of two strips of 16 columns.
    pub(super) right: [*const Tile; 2],
    /// How far the strips reach: inner indices in units of a tile.
    pub(super) steps: usize,
}

/// Where 32 rows of 32 sums lie.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) start: *mut f32,
    /// Values from the start of a row to that of the next.
    pub(super) stride: usize,
}

/// The tiles of the calling thread, all of full size, until this is dropped. Not to be nested.
pub(super) struct Session {
    /// The configuration is the thread's: neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl Session {
    pub(super) fn start(_: Amx) -> Self {
        static CONFIGURATION: Configuration = Configuration::EIGHT_FULL_TILES;
        // SAFETY: the argument proves that there are tiles; every processor that has them has
        // palette 1 with at least eight tiles of 16 × 64 bytes.
        unsafe {
            asm!(
                "ldtilecfg [{0}]",
                in(reg) &raw const CONFIGURATION,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags)
            );
        }
        Self {
            thread: PhantomData,
        }
    }

    /// Two by two tiles of sums, `sums = left · right` or `sums += left · right`.
    ///
    /// # Safety
    /// Each strip has `steps > 0` tiles. `sums` are 32 rows of 32 values that nothing else
    /// reads or writes meanwhile.
    pub(super) unsafe fn multiply(&self, strips: Strips, sums: Sums, write: Write) {
        // SAFETY: `self` proves the configuration. Whole tiles are read of each strip and 32 rows
        // of 128 bytes read and written of `sums`, which the caller vouches for.
        unsafe {
            sum_tiles!(
                strips,
                sums,
                write,
                1,
                "tileloadd tmm4, [{left0} + {row}]",
                "tileloadd tmm6, [{right0} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right1} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{left1} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
            );
        }
    }

    /// As [`multiply`](Self::multiply) for factors of three parts, `x = high + middle + low`: every
    /// step of a strip is a tile of each. Of the nine products of a step the three smallest are left
    /// out: `middle · low`, `low · middle` and `low · low`.
    ///
    /// # Safety
    /// Each strip has `3 · steps > 0` tiles. `sums` are 32 rows of 32 values that nothing else
    /// reads or writes meanwhile.
    pub(super) unsafe fn multiply_split(&self, strips: Strips, sums: Sums, write: Write) {
        // SAFETY: as in `multiply`, with three tiles per step. Each of the six products differs from
        // the one before in the part of one factor only, so that few tiles are loaded twice.
        unsafe {
            sum_tiles!(
                strips,
                sums,
                write,
                3,
                // high · low
                "tileloadd tmm4, [{left0} + {row}]",
                "tileloadd tmm6, [{right0} + {row} + 2 * {tile}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left1} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {row} + 2 * {tile}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // high · high
                "tileloadd tmm6, [{right0} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // high · middle
                "tileloadd tmm6, [{right0} + {row} + {tile}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {row} + {tile}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // middle · middle
                "tileloadd tmm4, [{left0} + {row} + {tile}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left1} + {row} + {tile}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // middle · high
                "tileloadd tmm6, [{right0} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tileloadd tmm7, [{right1} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // low · high
                "tileloadd tmm4, [{left0} + {row} + 2 * {tile}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left1} + {row} + 2 * {tile}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm3, tmm5, tmm7",
            );
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: there are tiles, and only the session of this thread uses them.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}
