//! The gallery's pictures, drawn when they are asked for.

pub(super) const SHAPES: &[&str] = &[
    "circle", "square", "triangle", "star", "ring", "cross", "moon", "tree",
];

pub(super) const COLORS: &[(&str, [f32; 3])] = &[
    ("red", [0.84, 0.24, 0.20]),
    ("orange", [0.95, 0.56, 0.20]),
    ("yellow", [0.96, 0.82, 0.30]),
    ("green", [0.33, 0.62, 0.35]),
    ("teal", [0.16, 0.58, 0.58]),
    ("blue", [0.24, 0.42, 0.80]),
    ("purple", [0.50, 0.34, 0.70]),
    ("pink", [0.93, 0.52, 0.66]),
];

/// Caption's end, word, colors of the sky above and below, and of the ground.
pub(super) const LIGHTS: &[(&str, &str, [[f32; 3]; 3])] = &[
    (
        "at noon",
        "noon",
        [[0.45, 0.70, 0.95], [0.82, 0.92, 1.0], [0.55, 0.70, 0.38]],
    ),
    (
        "at night",
        "night",
        [[0.04, 0.06, 0.16], [0.14, 0.17, 0.34], [0.07, 0.09, 0.14]],
    ),
    (
        "at dusk",
        "dusk",
        [[0.36, 0.26, 0.52], [0.98, 0.62, 0.42], [0.26, 0.18, 0.24]],
    ),
    (
        "in fog",
        "fog",
        [[0.80, 0.82, 0.84], [0.90, 0.91, 0.92], [0.70, 0.73, 0.74]],
    ),
];

pub(super) struct Scene {
    pub(super) shape: usize,
    pub(super) color: usize,
    pub(super) light: usize,
}

impl Scene {
    /// What its pictures carry, so that they are known again.
    pub(super) fn name(&self) -> String {
        format!("scene {} {} {}.", self.shape, self.color, self.light)
    }
}

/// A scene as a PNG, three quarters as high as wide.
pub(super) fn png(scene: &Scene, width: u32) -> Vec<u8> {
    let height = (width * (3 + scene.shape as u32 % 3) / 5).max(1);
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for row in 0..height {
        for column in 0..width {
            let size = width.min(height) as f32;
            let x = (column as f32 + 0.5 - width as f32 / 2.0) / size;
            let y = (row as f32 + 0.5) / height as f32;
            let color = color_at(scene, x, y, 1.5 / size);
            pixels.extend(color.map(|value| (255.0 * value.clamp(0.0, 1.0)) as u8));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let name = scene.name();
    encoder
        .add_text_chunk("Title".to_owned(), name)
        .expect("a short name is a text");
    let mut writer = encoder.write_header().expect("a vector takes every byte");
    writer
        .write_image_data(&pixels)
        .expect("as many bytes as pixels have");
    writer.finish().expect("a vector takes every byte");
    bytes
}

fn color_at(scene: &Scene, x: f32, y: f32, blur: f32) -> [f32; 3] {
    let [above, below, ground] = LIGHTS[scene.light].2;
    let hill = 0.74 + 0.05 * (x * 4.0 + scene.color as f32).sin();
    let sky = mix(above, below, (y / hill).min(1.0));
    let shade = 1.0 - 0.4 * ((y - hill) / (1.0 - hill)).max(0.0);
    let back = mix(sky, ground.map(|value| value * shade), step(y - hill, blur));
    let inside = step(-distance(scene.shape, x, y - 0.5), blur);
    let lit = 1.0 - 0.35 * (y - 0.2);
    mix(back, COLORS[scene.color].1.map(|value| value * lit), inside)
}

/// Below zero inside the shape.
fn distance(shape: usize, x: f32, y: f32) -> f32 {
    let radius = x.hypot(y);
    match shape {
        0 => radius - 0.28,
        1 => x.abs().max(y.abs()) - 0.25,
        2 => (0.866 * x.abs() - 0.5 * y - 0.17).max(y - 0.24),
        3 => {
            let turn = std::f32::consts::TAU / 5.0;
            let angle = (x.atan2(-y) / turn + 0.5).rem_euclid(1.0) - 0.5;
            radius - 0.3 + 0.36 * angle.abs()
        }
        4 => (radius - 0.23).abs() - 0.07,
        5 => (x.abs().max(y.abs()) - 0.28).max(x.abs().min(y.abs()) - 0.09),
        6 => (radius - 0.28).max(0.24 - (x - 0.13).hypot(y + 0.05)),
        _ => {
            let trunk = (x.abs() - 0.045).max((y - 0.2).abs() - 0.15);
            let crown = (x.hypot(y + 0.1) - 0.2).min((x.abs() - 0.12).hypot(y - 0.03) - 0.13);
            trunk.min(crown)
        }
    }
}

fn step(value: f32, blur: f32) -> f32 {
    (value / blur + 0.5).clamp(0.0, 1.0)
}

fn mix(a: [f32; 3], b: [f32; 3], share: f32) -> [f32; 3] {
    std::array::from_fn(|n| a[n] + (b[n] - a[n]) * share)
}
