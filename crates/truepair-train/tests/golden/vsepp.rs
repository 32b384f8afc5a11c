//! The two encoders of VSE++.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_train::backbone::{
    Backbone, BackboneConfig, GruConfig, GruDirections, GruOutput, InputShape, RegionLinearConfig,
};
use truepair_train::encoding::Input;
use truepair_train::mode::Mode;
use truepair_train::parameters::Parameters;

use crate::support::{Golden, assert_close, check_gradients, device, loaded, vector};

const IMAGE_NAMES: [(&str, &str); 2] = [
    ("fc.weight", "w.img_enc.fc.weight"),
    ("fc.bias", "w.img_enc.fc.bias"),
];
const TEXT_NAMES: [(&str, &str); 5] = [
    ("embed", "w.txt_enc.embed.weight"),
    ("forward.weight_ih", "w.txt_enc.rnn.weight_ih_l0"),
    ("forward.weight_hh", "w.txt_enc.rnn.weight_hh_l0"),
    ("forward.bias_ih", "w.txt_enc.rnn.bias_ih_l0"),
    ("forward.bias_hh", "w.txt_enc.rnn.bias_hh_l0"),
];

fn weights(golden: &Golden, names: &[(&str, &str)]) -> Parameters {
    names
        .iter()
        .map(|(ours, theirs)| ((*ours).to_owned(), golden.values(theirs)))
        .collect()
}

fn image_encoder(golden: &Golden) -> Backbone {
    let width = golden.shape("in.images")[1];
    let dim = golden.shape("w.img_enc.fc.weight")[0];
    let config = BackboneConfig::RegionLinear(RegionLinearConfig { dim });
    let shape = InputShape::Features { width, regions: 1 };
    loaded(&config, shape, weights(golden, &IMAGE_NAMES))
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
    loaded(&config, shape, weights(golden, &TEXT_NAMES))
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
    let run = Run::new(&golden);
    check_gradients(&golden, &run.image_encoder, run.loss(&golden), &IMAGE_NAMES);
    let run = Run::new(&golden);
    check_gradients(&golden, &run.text_encoder, run.loss(&golden), &TEXT_NAMES);
    let run = Run::new(&golden);
    let tape = run.loss(&golden).backward();
    let by_images = vector(run.images.grad(&tape).expect("images take part"));
    let expected = golden.floats("grad.in.images");
    assert_close("grad.in.images", &by_images, &expected, 2e-5, 1e-5);
}
