use super::scan::bench::*;
use burn::tensor::{Device, Tensor, TensorData};
use std::time::Instant;
fn fill(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| {
            let x = i.wrapping_mul(2654435761) ^ seed;
            let x = (x ^ (x >> 15)).wrapping_mul(0x85ebca6b);
            let x = (x ^ (x >> 13)).wrapping_mul(0xc2b2ae35);
            ((x ^ (x >> 16)) >> 8) as f32 / 16777216.0 - 0.5
        })
        .collect()
}
fn t<const D: usize>(seed: u32, s: [usize; D]) -> Tensor<D> {
    let n: usize = s.iter().product();
    Tensor::from_data(
        TensorData::new(fill(n, seed), s),
        &Device::flex().autodiff(),
    )
}
pub(crate) fn cpu() -> f64 {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|t| {
            std::fs::read_to_string(t.unwrap().path().join("schedstat"))
                .unwrap_or_default()
                .split(' ')
                .next()
                .unwrap_or("0")
                .parse::<f64>()
                .unwrap_or(0.0)
        })
        .sum::<f64>()
        * 1e-9
}
#[test]
#[ignore]
fn scan_speed() {
    for (name, n, r, tt, d) in [("small", 64, 36, 14, 256), ("paper", 128, 36, 14, 1024)] {
        for dir in ["t2i", "i2t"] {
            let v = t::<3>(1, [n, r, d]).require_grad();
            let w = t::<3>(2, [n, tt, d]).require_grad();
            let (vm, wm) = (
                Tensor::<2>::ones([n, r], &v.device()),
                Tensor::<2>::ones([n, tt], &v.device()),
            );
            let cot = t::<2>(3, [n, n]);
            let (mut bf, mut bb, mut cf, mut cb) = (f64::MAX, f64::MAX, f64::MAX, f64::MAX);
            for _ in 0..12 {
                let t0 = Instant::now();
                let c0 = cpu();
                let s = if dir == "t2i" {
                    scan_bench((v.clone(), vm.clone()), (w.clone(), wm.clone()))
                } else {
                    scan_bench((w.clone(), wm.clone()), (v.clone(), vm.clone()))
                };
                let t1 = Instant::now();
                let c1 = cpu();
                let g = (s * cot.clone()).sum().backward();
                let t2 = Instant::now();
                let c2 = cpu();
                std::hint::black_box(&g);
                cf = cf.min(c1 - c0);
                cb = cb.min(c2 - c1);
                bf = bf.min((t1 - t0).as_secs_f64());
                bb = bb.min((t2 - t1).as_secs_f64());
            }
            eprintln!(
                "{name} {dir}: forward {:.2} ms (cpu {:.2}) backward {:.2} (cpu {:.2}) ms",
                bf * 1e3,
                cf * 1e3,
                bb * 1e3,
                cb * 1e3
            );
        }
    }
}

#[test]
#[ignore]
fn attention_speed() {
    use super::attention::*;
    use super::segment::padded;
    use super::vector::wide;
    for (m, len, k) in [(36usize, 14usize, 128usize), (14, 36, 128)] {
        let offsets: Vec<usize> = (0..=k).map(|i| i * len).collect();
        let tile = Tile {
            contexts: m,
            offsets: &offsets,
            stride: padded(k * len),
            raw_stride: padded(k * len),
        };
        let raw = fill(m * tile.stride, 1);
        let (mut norms, mut out, mut sums) = (
            vec![0.0; m * k],
            vec![0.0; m * tile.stride],
            vec![0.0; tile.stride],
        );
        let g0 = fill(m * tile.stride, 2);
        let mut g = g0.clone();
        let mut room = Room::new(tile.stride, k);
        let att = Attention {
            norm: super::RawNorm::ClippedL2,
            smooth: 9.0,
        };
        let (mut bf, mut bb) = (f64::MAX, f64::MAX);
        for _ in 0..300 {
            let t0 = Instant::now();
            wide(
                #[inline(always)]
                || att.numerators(tile, &raw, &mut norms, &mut out, &mut sums, &mut room),
            );
            let t1 = Instant::now();
            wide(
                #[inline(always)]
                || att.numerators_backward(tile, &raw, &norms, &mut g, &mut room),
            );
            let t2 = Instant::now();
            bf = bf.min((t1 - t0).as_secs_f64());
            bb = bb.min((t2 - t1).as_secs_f64());
            g.copy_from_slice(&g0);
        }
        let n = (m * k * len) as f64;
        eprintln!(
            "attention {m}x{len}: {:.3} ns a number, backward {:.3} ns; all 128 items {:.1} {:.1} ms",
            bf / n * 1e9,
            bb / n * 1e9,
            bf * 128e3,
            bb * 128e3
        );
    }
}
#[test]
#[ignore]
fn gemm_shapes() {
    use super::matmul::*;
    let (r, t, d) = (4608, 1792, 1024);
    let (v, w) = (fill(r * d, 1), fill(t * d, 2));
    let mut raw = vec![0.0; r * t];
    let mut go =
        |name: &str, m: usize, a: &[f32], n: usize, b: &[f32], at: bool, bt: bool, k: usize| {
            let mut best = f64::MAX;
            for _ in 0..8 {
                let c = Instant::now();
                let l = if at {
                    View::rows(&a[..k * m], m).t()
                } else {
                    View::rows(&a[..m * k], k)
                };
                let rr = if bt {
                    View::rows(&b[..n * k], k).t()
                } else {
                    View::rows(&b[..k * n], n)
                };
                multiply(
                    Precision::F32,
                    Threads::One,
                    l,
                    rr,
                    &mut raw[..m * n],
                    n,
                    Write::Replace,
                );
                best = best.min(c.elapsed().as_secs_f64());
            }
            eprintln!(
                "{name} {m}x{k}x{n}: {:.1} GFLOP/s ms",
                2e-9 * (m * n * k) as f64 / best
            );
        };
    for m in [224, 448, 896, 1792] {
        go("i2t raw", m, &w, 4608, &v, false, true, d);
    }
    for m in [288, 576, 1152, 4608] {
        go("t2i raw", m, &v, 1792, &w, false, true, d);
    }
    let big = fill(4608 * 1792, 3);
    for m in [224, 448, 1792] {
        go("i2t dC", m, &big, d, &v, false, false, 4608);
    }
    for m in [288, 576, 1152] {
        go("t2i dC", m, &big, d, &w, false, false, 1792);
    }
    go("t2i dQ", 1792, &big, d, &v, true, false, 4608);
    go("i2t dQ", 4608, &big, d, &w, true, false, 1792);
    for k in [288, 576, 1152] {
        go("t2i dQ part", 1792, &big, d, &v, true, false, k);
    }
    for k in [224, 448] {
        go("i2t dQ part", 4608, &big, d, &w, true, false, k);
    }
}
#[test]
#[ignore]
fn imram_speed() {
    let mut sizes = vec![("small", 64usize, 36usize, 14usize, 256usize, 6)];
    if std::env::var("PAPER").is_ok() {
        sizes.push(("paper", 128, 36, 14, 1024, 1));
    }
    for (name, n, r, tt, d, rounds) in sizes {
        for (block, dir) in [(256, "t2i"), (256, "i2t")] {
            let _ = block;
            let v = t::<3>(1, [n, r, d]).require_grad();
            let w = t::<3>(2, [n, tt, d]).require_grad();
            let (vm, wm) = (
                Tensor::<2>::ones([n, r], &v.device()),
                Tensor::<2>::ones([n, tt], &v.device()),
            );
            let o = (
                (t::<2>(5, [d, 2 * d]) / 8.0).require_grad(),
                t::<1>(6, [d]).require_grad(),
            );
            let g = (
                (t::<2>(7, [d, 2 * d]) / 8.0).require_grad(),
                t::<1>(8, [d]).require_grad(),
            );
            let cot = t::<2>(3, [n, n]);
            let (mut bf, mut bb, mut cf, mut cb) = (f64::MAX, f64::MAX, f64::MAX, f64::MAX);
            for _ in 0..rounds {
                let t0 = Instant::now();
                let c0 = cpu();
                let s = if dir == "t2i" {
                    super::imram::bench::imram_bench(
                        (v.clone(), vm.clone()),
                        (w.clone(), wm.clone()),
                        o.clone(),
                        g.clone(),
                    )
                } else {
                    super::imram::bench::imram_bench(
                        (w.clone(), wm.clone()),
                        (v.clone(), vm.clone()),
                        o.clone(),
                        g.clone(),
                    )
                };
                let t1 = Instant::now();
                let c1 = cpu();
                let gr = (s * cot.clone()).sum().backward();
                let t2 = Instant::now();
                let c2 = cpu();
                std::hint::black_box(&gr);
                bf = bf.min((t1 - t0).as_secs_f64());
                bb = bb.min((t2 - t1).as_secs_f64());
                cf = cf.min((c1 - c0).abs());
                cb = cb.min((c2 - c1).abs());
            }
            eprintln!(
                "imram {name} {dir}: forward {:.1} (cpu {:.1}) backward {:.1} (cpu {:.1}) ms",
                bf * 1e3,
                cf * 1e3,
                bb * 1e3,
                cb * 1e3
            );
        }
    }
}

#[test]
#[ignore]
fn threads_agree() {
    let (n, r, tt, d) = (64, 36, 14, 256);
    let run = || {
        let v = t::<3>(1, [n, r, d]).require_grad();
        let w = t::<3>(2, [n, tt, d]).require_grad();
        let (vm, wm) = (
            Tensor::<2>::ones([n, r], &v.device()),
            Tensor::<2>::ones([n, tt], &v.device()),
        );
        let o = (
            (t::<2>(5, [d, 2 * d]) / 8.0).require_grad(),
            t::<1>(6, [d]).require_grad(),
        );
        let g = (
            (t::<2>(7, [d, 2 * d]) / 8.0).require_grad(),
            t::<1>(8, [d]).require_grad(),
        );
        let mut all = vec![];
        for s in [
            scan_bench((v.clone(), vm.clone()), (w.clone(), wm.clone())),
            super::imram::bench::imram_bench(
                (v.clone(), vm.clone()),
                (w.clone(), wm.clone()),
                o.clone(),
                g.clone(),
            ),
        ] {
            let gr = (s.clone() * t::<2>(3, [n, n])).sum().backward();
            all.push(s.into_data().try_into_vec::<f32>().unwrap());
            all.push(
                v.grad(&gr)
                    .unwrap()
                    .into_data()
                    .try_into_vec::<f32>()
                    .unwrap(),
            );
            all.push(
                w.grad(&gr)
                    .unwrap()
                    .into_data()
                    .try_into_vec::<f32>()
                    .unwrap(),
            );
            if let Some(x) = o.0.grad(&gr) {
                all.push(x.into_data().try_into_vec::<f32>().unwrap());
            }
        }
        all
    };
    let with = |k| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(k)
            .build()
            .unwrap()
            .install(run)
    };
    let a = with(1);
    for k in [1, 2, 3, 8] {
        let b = with(k);
        for (x, y) in a.iter().zip(&b) {
            assert!(x == y, "{k}");
        }
    }
    eprintln!("agree {} ms", a.len());
}

#[test]
#[ignore]
fn tile_shapes() {
    use super::matmul::*;
    for (d, b, m) in [
        (256usize, 252usize, 36usize),
        (256, 252, 14),
        (1024, 252, 36),
    ] {
        let (v, q, w) = (fill(m * 2 * d, 1), fill(b * 2 * d, 2), fill(2 * d * d, 3));
        let a = fill(m * (b + 20), 5);
        let mut out = vec![0.0; 4 * d * d + b * 2 * d + m * 2 * d];
        let mut go =
            |name: &str, l: View<'_>, r: View<'_>, macs: usize, stride: usize, wr: Write| {
                let mut best = f64::MAX;
                for _ in 0..2000 {
                    let c = Instant::now();
                    multiply(Precision::F32, Threads::One, l, r, &mut out, stride, wr);
                    best = best.min(c.elapsed().as_secs_f64());
                }
                eprintln!(
                    "d={d} m={m} {name}: {:.1} us {:.1} GFLOP/s ms",
                    best * 1e6,
                    2e-9 * macs as f64 / best
                );
            };
        let st = b + 20;
        go(
            "raw V Qt(T)",
            View::rows(&v[..m * d], d),
            View::rows(&q[..b * d], d).t(),
            m * d * b,
            st,
            Write::Replace,
        );
        go(
            "raw V Qt(rows)",
            View::rows(&v[..m * d], d),
            View::rows(&q[..b * d], b),
            m * d * b,
            st,
            Write::Replace,
        );
        go(
            "rawT Q Vt(T)",
            View::rows(&q[..b * d], d),
            View::rows(&v[..m * d], d).t(),
            m * d * b,
            m,
            Write::Replace,
        );
        go(
            "rawT Q Vt(rows)",
            View::rows(&q[..b * d], d),
            View::rows(&v[..m * d], m),
            m * d * b,
            m,
            Write::Replace,
        );
        go(
            "dA VW dUt(T)",
            View::rows(&v, 2 * d),
            View::rows(&q, 2 * d).t(),
            2 * m * d * b,
            st,
            Write::Replace,
        );
        go(
            "dAT dU VWt(rows)",
            View::rows(&q, 2 * d),
            View::rows(&v, m),
            2 * m * d * b,
            m,
            Write::Replace,
        );
        go(
            "U Q W1t",
            View::rows(&q[..b * d], d),
            View::rows(&w, 2 * d),
            2 * d * d * b,
            2 * d,
            Write::Replace,
        );
        go(
            "U aT VW",
            View::strided(&a, m, b, st).t(),
            View::rows(&v, 2 * d),
            2 * d * m * b,
            2 * d,
            Write::Add,
        );
        go(
            "dVW a dU",
            View::strided(&a, m, b, st),
            View::rows(&q, 2 * d),
            2 * d * m * b,
            2 * d,
            Write::Add,
        );
        go(
            "dQ dU W1",
            View::rows(&q, 2 * d),
            View::rows(&w, d),
            2 * d * d * b,
            d,
            Write::Add,
        );
        go(
            "dW1 dUt Q",
            View::rows(&q, 2 * d).t(),
            View::rows(&q[..b * d], d),
            2 * d * d * b,
            d,
            Write::Add,
        );
        go(
            "dV r Q",
            View::strided(&a, m, b, st),
            View::rows(&q[..b * d], d),
            d * m * b,
            d,
            Write::Add,
        );
        go(
            "dQ rT V",
            View::strided(&a, m, b, st).t(),
            View::rows(&v[..m * d], d),
            d * m * b,
            d,
            Write::Add,
        );
        go(
            "Ge",
            View::rows(&v[..m * m], m),
            View::strided(&a, m, b, st),
            m * m * b,
            st,
            Write::Replace,
        );
        go(
            "EEt",
            View::strided(&a, m, b, st),
            View::strided(&a, m, b, st).t(),
            m * m * b,
            m,
            Write::Replace,
        );
    }
}
