//! Small data sets in the formats users have, written byte by byte.

use std::fs;
use std::path::Path;

use truepair_core::rng::{Seed, normal};

/// Numbers per embedding.
pub(crate) const DIM: usize = 16;

/// Captions per image.
pub(crate) const EACH: usize = 5;

/// Writes a `.npy` file, version 1.0, C order.
pub(crate) fn npy(path: &Path, descr: &str, shape: &[usize], bytes: &[u8]) {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

/// Writes `f32` rows of [`DIM`] numbers.
pub(crate) fn rows(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy(path, "<f4", &[values.len() / DIM, DIM], &bytes);
}

/// Writes a bitmap of 16 by 16 pixels of one color.
fn bitmap(path: &Path, [red, green, blue]: [u8; 3]) {
    let mut file = b"BM".to_vec();
    for number in [
        54 + 768,
        0,
        54,
        40,
        16,
        16,
        1 | 24 << 16,
        0,
        768,
        0,
        0,
        0,
        0,
    ] {
        file.extend(u32::to_le_bytes(number));
    }
    file.extend([blue, green, red].repeat(256));
    fs::write(path, file).unwrap();
}

/// Pictures of one color each below `folder`, and captions that tell the color; the path of a picture, seen
/// from `folder`, with its caption.
pub(crate) fn colors(folder: &Path, n: usize) -> Vec<(String, String)> {
    const WORDS: [[&str; 5]; 3] = [
        ["red", "green", "big", "house", "play"],
        ["dog", "cat", "picture", "cafe", "time"],
        ["runs", "under", "first", "seen", "on"],
    ];
    fs::create_dir_all(folder).unwrap();
    let captioned = (0..n).map(|index| {
        let levels = [index % 5, index / 5 % 5, index / 25 % 5];
        let name = format!("{index:03}.bmp");
        bitmap(
            &folder.join(&name),
            levels.map(|level| 30 + 50 * level as u8),
        );
        let words: Vec<&str> = (0..3).map(|at| WORDS[at][levels[at]]).collect();
        (name, format!("a {}", words.join(" ")))
    });
    captioned.collect()
}

/// The tiny encoders in the folders in which repositories have them.
pub(crate) fn encoders(folder: &Path) {
    let fixtures =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../truepair-encode/fixtures/encoders");
    fs::create_dir_all(folder.join("onnx")).unwrap();
    let copies = [
        ("tiny_image.onnx", "onnx/vision_model.onnx"),
        ("tiny_text.onnx", "onnx/text_model.onnx"),
        ("tokenizer.json", "tokenizer.json"),
    ];
    for (from, to) in copies {
        fs::copy(fixtures.join(from), folder.join(to)).unwrap();
    }
    let settings = r#"{"size": 16, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
    fs::write(folder.join("preprocessor_config.json"), settings).unwrap();
}

/// Writes `int64` numbers.
pub(crate) fn integers(path: &Path, values: &[i64]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy(path, "<i8", &[values.len()], &bytes);
}

/// Image embeddings, and caption embeddings that lie near those of their images.
pub(crate) fn embeddings(n_images: usize) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Seed(5).stream("embeddings", &[]);
    let images: Vec<f32> = (0..n_images * DIM)
        .map(|_| normal(&mut rng) as f32)
        .collect();
    let near = |row: &[f32], rng: &mut _| -> Vec<f32> {
        row.iter().map(|x| x + 0.3 * normal(rng) as f32).collect()
    };
    let captions = (0..n_images * EACH)
        .flat_map(|caption| near(&images[caption / EACH * DIM..][..DIM], &mut rng))
        .collect();
    (images, captions)
}

/// Writes one split in the `precomp` layout, caption embeddings included, into `folder`.
pub(crate) fn precomp(folder: &Path, split: &str, n_images: usize) {
    fs::create_dir_all(folder).unwrap();
    let (images, captions) = embeddings(n_images);
    rows(&folder.join(format!("{split}_ims.npy")), &images);
    rows(&folder.join(format!("{split}_caps_near.npy")), &captions);
    let texts: String = (0..n_images * EACH)
        .map(|n| format!("picture {} seen for the {n}th time\n", n / EACH))
        .collect();
    fs::write(folder.join(format!("{split}_caps.txt")), texts).unwrap();
    let ids: String = (0..n_images).map(|n| format!("photo-{n}\n")).collect();
    fs::write(folder.join(format!("{split}_ids.txt")), ids).unwrap();
}

/// Writes a safetensors file of `f32` tensors with small numbers in them.
pub(crate) fn safetensors(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let mut rng = Seed(6).stream("weights", &[]);
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in tensors {
        let start = bytes.len();
        for _ in 0..shape.iter().product() {
            bytes.extend((0.3 * normal(&mut rng) as f32).to_le_bytes());
        }
        let entry = serde_json::json!({
            "dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()],
        });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], &header, &bytes].concat()).unwrap();
}

/// Writes a vocabulary of the four special words and `words`.
pub(crate) fn vocabulary(path: &Path, words: &[&str]) {
    let special = ["<pad>", "<start>", "<end>", "<unk>"];
    let numbered = || special.iter().chain(words).enumerate();
    let numbers: serde_json::Map<_, _> = (numbered())
        .map(|(number, word)| ((*word).to_owned(), number.into()))
        .collect();
    let texts: serde_json::Map<_, _> = (numbered())
        .map(|(number, word)| (number.to_string(), (*word).into()))
        .collect();
    let stored = serde_json::json!({
        "word2idx": numbers, "idx2word": texts, "idx": special.len() + words.len(),
    });
    fs::write(path, serde_json::to_vec(&stored).unwrap()).unwrap();
}

/// Changes one line of a text file, counted from 1.
pub(crate) fn set_line(path: &Path, number: usize, line: &[u8]) {
    let text = fs::read(path).unwrap();
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines[number - 1] = line;
    fs::write(path, lines.join(&b'\n')).unwrap();
}

/// Writes a square picture of one color as a BMP, whatever the ending of `path` says.
pub(crate) fn picture(path: &Path, side: u32, [red, green, blue]: [u8; 3]) {
    let row = (3 * side).next_multiple_of(4);
    let size = 54 + row * side;
    let mut file = b"BM".to_vec();
    for number in [size, 0, 54, 40, side, side] {
        file.extend(number.to_le_bytes());
    }
    file.extend([1, 0, 24, 0]);
    for number in [0, row * side, 2835, 2835, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    for _ in 0..side {
        let pixels = [blue, green, red].repeat(side as usize);
        file.extend(&pixels);
        file.resize(file.len() + row as usize - pixels.len(), 0);
    }
    fs::write(path, file).unwrap();
}

/// Writes CUB Captions' tree: six classes of ten pictures of the class's color, two captions per
/// picture that name it; the last two classes are unseen.
pub(crate) fn cub(root: &Path) {
    const COLORS: [(&str, [u8; 3]); 6] = [
        ("red", [250, 10, 10]),
        ("green", [10, 250, 10]),
        ("blue", [10, 10, 250]),
        ("white", [240, 240, 240]),
        ("yellow", [250, 250, 10]),
        ("black", [5, 5, 5]),
    ];
    let (mut images, mut labels, mut seen, mut unseen) =
        <(String, String, String, String)>::default();
    for (class, (color, pixels)) in COLORS.into_iter().enumerate() {
        let name = format!("{:03}.{color}_bird", class + 1);
        for folder in ["images", "text_c10"] {
            fs::create_dir_all(root.join(folder).join(&name)).unwrap();
        }
        for n in 0..10usize {
            let id = class * 10 + n + 1;
            let file = format!("{name}/bird_{n}.jpg");
            let shade = pixels.map(|x| x.saturating_sub(3 * n as u8));
            picture(&root.join("images").join(&file), 12, shade);
            let texts = format!("bird {id} is all {color}\na small {color} bird, number {id}\n");
            fs::write(
                root.join("text_c10").join(&file).with_extension("txt"),
                texts,
            )
            .unwrap();
            images += &format!("{id} {file}\n");
            labels += &format!("{id} {}\n", class + 1);
        }
        *if class < 4 { &mut seen } else { &mut unseen } += &format!("{name}\n");
    }
    for (name, text) in [
        ("images.txt", images),
        ("image_class_labels.txt", labels),
        ("trainvalclasses.txt", seen),
        ("testclasses.txt", unseen),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
}
