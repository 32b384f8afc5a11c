//! A module's parameters by name, as flat numbers: for checkpoints, weights files and tests.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use truepair_core::{Error, Result};

use crate::numbers::floats;

/// One parameter: its shape and its values, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// Parameters by name, for instance `image.first.weight`.
pub type Parameters = BTreeMap<String, Values>;

/// Copies every parameter out.
pub fn export(module: &impl Module) -> Parameters {
    let mut export = Export {
        path: Path::default(),
        out: Parameters::new(),
    };
    module.visit(&mut export);
    export.out
}

/// Names of the parameters in the order in which they are visited.
pub fn names(module: &impl Module) -> Vec<String> {
    let mut names = Names {
        path: Path::default(),
        out: Vec::new(),
    };
    module.visit(&mut names);
    names.out
}

/// Lengths of the axes of every parameter.
pub fn shapes(module: &impl Module) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = Shapes {
        path: Path::default(),
        out: BTreeMap::new(),
    };
    module.visit(&mut shapes);
    shapes.out
}

/// Replaces every parameter.
///
/// # Errors
/// If a parameter is missing, superfluous or of another shape; the message names all of them.
pub fn import<M: Module>(module: M, parameters: Parameters) -> Result<M> {
    let mut import = Import {
        path: Path::default(),
        left: parameters,
        problems: Vec::new(),
    };
    let module = module.map(&mut import);
    let mut problems = import.problems;
    problems.extend(
        import
            .left
            .keys()
            .map(|name| format!("`{name}` is unknown")),
    );
    if problems.is_empty() {
        return Ok(module);
    }
    Err(Error::argument(
        format!(
            "the weights are of another matcher: {}",
            problems.join(", ")
        ),
        "use the config that the weights were trained with",
    ))
}

/// The path of the module being visited. Variants of an enum add no name.
#[derive(Default)]
struct Path(Vec<Option<String>>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.0
            .push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0
            .iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(".")
    }
}

struct Export {
    path: Path,
    out: Parameters,
}

impl ModuleVisitor for Export {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.out.insert(
            self.path.name(),
            Values {
                shape,
                values: floats(tensor),
            },
        );
    }
}

struct Names {
    path: Path,
    out: Vec<String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.out.push(self.path.name());
    }
}

struct Shapes {
    path: Path,
    out: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.val().dims().to_vec();
        self.out.insert(self.path.name(), shape);
    }
}

struct Import {
    path: Path,
    left: Parameters,
    problems: Vec<String>,
}

impl ModuleMapper for Import {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(given) = self.left.remove(&name) else {
            self.problems.push(format!("`{name}` is missing"));
            return param;
        };
        param.map(|value| {
            let shape = value.dims();
            if given.shape != shape {
                self.problems.push(format!(
                    "`{name}` has shape {:?} where {shape:?} is expected",
                    given.shape
                ));
                return value;
            }
            let (device, tracked) = (value.device(), value.is_require_grad());
            let loaded = Tensor::from_data(TensorData::new(given.values, shape), &device);
            loaded.set_require_grad(tracked)
        })
    }
}
