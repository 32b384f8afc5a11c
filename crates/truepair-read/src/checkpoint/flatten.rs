//! Names for what a pickle holds: nested containers become paths with dots.

use std::collections::BTreeMap;

use super::Scalar;
use super::error::Mismatch;
use super::pickle::{Heap, Object, Pickle, TensorRef, Value};

/// Deepest nesting of containers; research checkpoints have four levels.
const MAX_DEPTH: usize = 64;

/// Most values that are visited, plus bytes of names and texts that are made. Containers that
/// hold one another many times over would otherwise have more paths than any memory holds.
const MAX_COST: usize = 1 << 26;

/// The content of a pickle by flattened name.
#[derive(Default)]
pub(super) struct Contents<'h> {
    pub(super) tensors: BTreeMap<String, &'h TensorRef>,
    pub(super) settings: BTreeMap<String, Scalar>,
    /// `name: kind`, sorted.
    pub(super) skipped: Vec<String>,
}

/// Flattens the object of `pickle`.
pub(super) fn flatten(pickle: &Pickle) -> Result<Contents<'_>, Mismatch> {
    let mut walk = Walk {
        heap: &pickle.heap,
        path: String::new(),
        cost: 0,
        contents: Contents::default(),
    };
    walk.visit(pickle.root, 0)?;
    walk.contents.skipped.sort();
    Ok(walk.contents)
}

/// `path` without the segment that `DataParallel` adds. A last segment is what the user named.
pub(super) fn without_wrapper(path: &str) -> String {
    let Some((parents, own)) = path.rsplit_once('.') else {
        return path.to_owned();
    };
    let kept = parents.split('.').filter(|segment| *segment != "module");
    let segments: Vec<&str> = kept.chain([own]).collect();
    segments.join(".")
}

struct Walk<'h> {
    heap: &'h Heap,
    /// The keys and positions on the way to the present value, joined by dots.
    path: String,
    cost: usize,
    contents: Contents<'h>,
}

impl<'h> Walk<'h> {
    fn visit(&mut self, value: Value, depth: usize) -> Result<(), Mismatch> {
        self.pay(1)?;
        let scalar = match value {
            Value::None => return Ok(()),
            Value::Bool(boolean) => Scalar::Bool(boolean),
            Value::Int(integer) => Scalar::Int(integer),
            Value::Float(float) => Scalar::Float(float),
            Value::Object(_) => match self.heap.object(value) {
                Some(object) => return self.visit_object(value, object, depth),
                None => return Ok(()),
            },
        };
        self.set(scalar)
    }

    fn visit_object(
        &mut self,
        value: Value,
        object: &'h Object,
        depth: usize,
    ) -> Result<(), Mismatch> {
        match object {
            Object::Sequence(values) => self.visit_sequence(values, depth),
            Object::Dict(pairs) | Object::Namespace(pairs) => self.visit_pairs(pairs, depth),
            Object::Tensor(tensor) => self.tensor(tensor),
            Object::Text(_) | Object::Bytes(_) => match self.heap.text(value) {
                Some(text) => {
                    self.pay(text.len())?;
                    self.set(Scalar::Text(text.to_owned()))
                }
                None => self.skip("bytes"),
            },
            Object::Long(_) => self.skip("integer of more than 64 bits"),
            Object::Storage(storage) => self.skip(&storage.class),
            Object::NumberType(_) => self.skip("numpy.dtype"),
            Object::Global(global) => self.skip(&global.name),
            Object::Opaque(name) => self.skip(name),
        }
    }

    fn visit_sequence(&mut self, values: &[Value], depth: usize) -> Result<(), Mismatch> {
        for (position, value) in values.iter().enumerate() {
            self.visit_child(&position.to_string(), *value, depth)?;
        }
        Ok(())
    }

    fn visit_pairs(&mut self, pairs: &[(Value, Value)], depth: usize) -> Result<(), Mismatch> {
        for (key, value) in pairs {
            match (key, self.heap.text(*key)) {
                (_, Some(text)) => self.visit_child(text, *value, depth)?,
                (Value::Int(integer), _) => {
                    self.visit_child(&integer.to_string(), *value, depth)?;
                }
                _ => self.skip("key that is neither text nor integer")?,
            }
        }
        Ok(())
    }

    fn visit_child(&mut self, segment: &str, value: Value, depth: usize) -> Result<(), Mismatch> {
        if depth == MAX_DEPTH {
            return Err(Mismatch::new(
                format!("containers nested deeper at `{}`", shortened(&self.path)),
                format!("at most {MAX_DEPTH} levels of containers"),
            ));
        }
        self.pay(segment.len())?;
        let length = self.path.len();
        if depth > 0 {
            self.path.push('.');
        }
        self.path.push_str(segment);
        self.visit(value, depth + 1)?;
        self.path.truncate(length);
        Ok(())
    }

    fn tensor(&mut self, tensor: &'h TensorRef) -> Result<(), Mismatch> {
        let name = self.name()?;
        match self.contents.tensors.insert(name, tensor) {
            None => Ok(()),
            Some(_) => {
                let name = shortened(&without_wrapper(&self.path)).to_owned();
                let found = format!("a second tensor of the name `{name}`");
                Err(Mismatch::new(found, "different names of all tensors"))
            }
        }
    }

    /// Keeps the first setting of a name; weights are not given up for the sake of a second one.
    fn set(&mut self, scalar: Scalar) -> Result<(), Mismatch> {
        let name = self.name()?;
        if self.contents.settings.contains_key(&name) {
            return self.skip("second setting of this name");
        }
        self.contents.settings.insert(name, scalar);
        Ok(())
    }

    fn skip(&mut self, kind: &str) -> Result<(), Mismatch> {
        self.pay(kind.len())?;
        let name = self.name()?;
        self.contents.skipped.push(format!("{name}: {kind}"));
        Ok(())
    }

    fn name(&mut self) -> Result<String, Mismatch> {
        self.pay(self.path.len())?;
        Ok(without_wrapper(&self.path))
    }

    fn pay(&mut self, cost: usize) -> Result<(), Mismatch> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost <= MAX_COST {
            return Ok(());
        }
        Err(Mismatch::new(
            "containers that hold one another too many times",
            format!("at most {MAX_COST} values and bytes of names"),
        ))
    }
}

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::without_wrapper;

    #[test]
    fn the_wrapper_of_data_parallel_is_dropped_in_every_position_but_the_last() {
        for (path, name) in [
            ("module.fc.weight", "fc.weight"),
            ("model.0.module.fc.weight", "model.0.fc.weight"),
            ("module.module.a", "a"),
            ("opt.module", "opt.module"),
            ("module", "module"),
            ("submodule.a", "submodule.a"),
            ("", ""),
        ] {
            assert_eq!(without_wrapper(path), name);
        }
    }
}
