use std::path::Path;
use truepair_encode::*;
use truepair_image::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "text" {
        let t = std::time::Instant::now();
        let e = TextEncoder::open(
            Path::new(&a[2]),
            Some(Path::new(&a[3])),
            None,
            Pooling::Mean,
        )
        .unwrap();
        eprintln!(
            "open {:?} dim {} max {}",
            t.elapsed(),
            e.dim(),
            e.tokenizer().max_tokens()
        );
        let texts: Vec<String> = serde_json::from_slice(&std::fs::read(&a[4]).unwrap()).unwrap();
        let t = std::time::Instant::now();
        let v = e.embed(&texts).unwrap();
        eprintln!("{} texts {:?}", texts.len(), t.elapsed());
        let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&a[5], bytes).unwrap();
    } else {
        let p = Preprocessing {
            fit: if a[4] == "stretch" {
                Fit::Stretch
            } else {
                Fit::Pad
            },
            filter: if a[5] == "bilinear" {
                Filter::Bilinear
            } else {
                Filter::Bicubic
            },
            mean: [127.0 / 255.0; 3],
            std: [128.0 / 255.0; 3],
            ..Preprocessing::default()
        };
        let e = ImageEncoder::open(Path::new(&a[2]), Some(p), Some("pooled")).unwrap();
        let mut out = Vec::new();
        let mut best = f64::MAX;
        for line in std::fs::read_to_string(&a[3]).unwrap().lines() {
            let im = decode(&std::fs::read(line).unwrap()).unwrap();
            let t = std::time::Instant::now();
            let v = e.embed(&im).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
            out.extend(v.iter().flat_map(|x| x.to_le_bytes()));
        }
        eprintln!("best {:.1} ms", best * 1e3);
        std::fs::write(&a[6], out).unwrap();
    }
}
