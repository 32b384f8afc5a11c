//! The two encoders of VSE++.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_model::backbone::{
    Backbone, BackboneConfig, GruConfig, GruDirections, GruOutput, InputShape, RegionLinearConfig,
};
use truepair_model::encoding::Input;
use truepair_model::layer::Mode;
use truepair_train::published::{Names, encoders};

use crate::cases::{check_case, weights};
use crate::support::{Golden, assert_close, device, loaded, vector};

/// The names of an encoder's weights in a file that holds both.
fn names(part: &str, encoder: Names) -> Names {
    (encoder.into_iter())
        .map(|(ours, theirs)| (ours, format!("{part}.{theirs}")))
        .collect()
}

fn image_names() -> Names {
    names("img_enc", encoders::image_names("fc"))
}

fn text_names() -> Names {
    let names_alone = encoders::caption_names("rnn", GruDirections::Forward);
    names("txt_enc", names_alone)
}

fn image_encoder(golden: &Golden) -> Backbone {
    let width = golden.shape("in.images")[1];
    let dim = golden.shape("w.img_enc.fc.weight")[0];
    let config = BackboneConfig::RegionLinear(RegionLinearConfig { dim });
    let shape = InputShape::Features { width, regions: 1 };
    loaded(&config, shape, weights(golden, &image_names()))
}

fn text_encoder(golden: &Golden) -> Backbone {
    let [vocabulary, word_dim] = golden.shape("w.txt_enc.embed.weight")[..] else {
        panic!("two axes")
    };
    let config = BackboneConfig::Gru(GruConfig {
        word_dim,
        dim: golden.shape("w.txt_enc.rnn.weight_hh_l0")[1],
        dropout: 0.0,
        directions: GruDirections::Forward,
        output: GruOutput::Last,
    });
    let shape = InputShape::Tokens(vocabulary);
    loaded(&config, shape, weights(golden, &text_names()))
}

fn captions(golden: &Golden) -> Input {
    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
    let lengths = golden.integers("in.lengths");
    let mask: Vec<f32> = (0..n * t)
        .map(|at| f32::from((at % t) < lengths[at / t] as usize))
        .collect();
    Input::Tokens {
        ids: Tensor::<2, Int>::from_data(ids, &device()),
        mask: Tensor::from_data(TensorData::new(mask, [n, t]), &device()),
    }
}

/// One vector an item, `[n, d]`.
fn encoded(backbone: &Backbone, input: &Input) -> Tensor<2> {
    let encoding = backbone.encode(input, &mut Mode::Evaluate);
    assert!(encoding.mask.is_none());
    let [n, one, d] = encoding.values.dims();
    assert_eq!(one, 1);
    encoding.values.reshape([n, d])
}

/// Both encoders with their outputs. A graph is differentiated once, so every loss has its own.
struct Run {
    image_encoder: Backbone,
    text_encoder: Backbone,
    images: Tensor<2>,
    outputs: [Tensor<2>; 2],
}

impl Run {
    fn new(golden: &Golden) -> Self {
        let (image_encoder, text_encoder) = (image_encoder(golden), text_encoder(golden));
        let images = golden.tensor::<2>("in.images");
        let input = Input::Features {
            values: images.clone().unsqueeze_dim(1),
            mask: None,
        };
        let outputs = [
            encoded(&image_encoder, &input),
            encoded(&text_encoder, &captions(golden)),
        ];
        Self {
            image_encoder,
            text_encoder,
            images,
            outputs,
        }
    }

    fn loss(&self, golden: &Golden) -> Tensor<1> {
        let [images, captions] = self.outputs.clone();
        let images = (images * golden.tensor("in.cotangent_img")).sum();
        images + (captions * golden.tensor("in.cotangent_txt")).sum()
    }
}

#[test]
fn golden_vsepp_encoders_and_their_gradients() {
    let golden = Golden::open("u06_vsepp_encoders.safetensors");
    for (name, output) in ["out.img_emb", "out.cap_emb"]
        .iter()
        .zip(Run::new(&golden).outputs)
    {
        assert_close(name, &vector(output), &golden.floats(name), 1e-5, 1e-6);
    }
    let check = |encoder: &Backbone, names: &Names, loss: Tensor<1>| {
        check_case(&golden, "", encoder, names, ("", None), loss, 2e-5);
    };
    let run = Run::new(&golden);
    check(&run.image_encoder, &image_names(), run.loss(&golden));
    let run = Run::new(&golden);
    check(&run.text_encoder, &text_names(), run.loss(&golden));
    let run = Run::new(&golden);
    let tape = run.loss(&golden).backward();
    let by_images = vector(run.images.grad(&tape).expect("images take part"));
    let expected = golden.floats("grad.in.images");
    assert_close("grad.in.images", &by_images, &expected, 2e-5, 1e-5);
}
