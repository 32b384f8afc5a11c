//! What stands in for the calls of a pickle: plain data for the known names, opaque objects for
//! the others. Nothing is ever called.

use std::rc::Rc;

use super::global::{Global, Role};
use super::heap::{Heap, Object, StorageRef, TensorRef};
use super::numpy::NumberType;
use super::value::Value;
use crate::checkpoint::dense::View;
use crate::checkpoint::element::Element;
use crate::checkpoint::error::Mismatch;

type Outcome<T> = std::result::Result<T, Mismatch>;

/// Most axes of a tensor, which is PyTorch's own limit.
const MAX_AXES: usize = 64;

impl Heap {
    /// The value that the call of `callee` with `arguments` stands for.
    pub(super) fn call(&mut self, callee: Value, arguments: &[Value]) -> Outcome<Value> {
        let global = match self.object(callee) {
            Some(Object::Global(global)) => global.clone(),
            // A call of what a call returned, such as `functools.partial(f)(x)`.
            Some(Object::Opaque(name)) => return Ok(self.opaque(&name.clone())),
            _ => {
                let found = self.describe(callee);
                return Err(Mismatch::new(found, "a class or function to call"));
            }
        };
        match (global.role, arguments) {
            (Role::OrderedDict, []) => Ok(self.add(Object::Dict(Vec::new()))),
            // Python 2 passes the items to the constructor.
            (Role::OrderedDict, [items]) => self.dict_of_items(*items),
            (Role::Namespace, []) => Ok(self.add(Object::Namespace(Vec::new()))),
            (Role::Size, [lengths]) if self.sequence(*lengths).is_some() => Ok(*lengths),
            (Role::RebuildTensor, [storage, start, shape, strides, ..]) => {
                self.tensor(*storage, *start, *shape, *strides)
            }
            (Role::RebuildParameter, [tensor, ..]) => self.parameter(*tensor),
            (Role::Encode, [text, encoding]) => self.encoded(&global, *text, *encoding),
            (Role::Bytes, []) => Ok(self.add(Object::Bytes(Box::default()))),
            (Role::NumberType, [code, ..]) => Ok(self.number_type(&global, *code)),
            (Role::NumpyScalar, [number_type, bytes]) => {
                Ok(self.numpy_scalar(&global, *number_type, *bytes))
            }
            (Role::Unknown | Role::Storage(_), _) => Ok(self.opaque(&global.name)),
            _ => Err(Mismatch::new(
                format!("{} arguments", arguments.len()),
                format!("the arguments of {}", global.name),
            )),
        }
    }

    /// Gives `object` the state that `BUILD` carries; kinds of objects that need none ignore it.
    pub(super) fn build(&mut self, object: Value, state: Value) {
        match (self.object(object), self.object(state)) {
            (Some(Object::Namespace(_)), Some(Object::Dict(attributes))) => {
                let attributes = attributes.clone();
                if let Some(Object::Namespace(all)) = self.object_mut(object) {
                    all.extend(attributes);
                }
            }
            (Some(Object::NumberType(number_type)), Some(Object::Sequence(parts))) => {
                let mut number_type = *number_type;
                // The version comes first, then the mark of the byte order.
                if let Some(mark) = parts.get(1).and_then(|mark| self.text(*mark)) {
                    number_type.set_byte_order(mark);
                }
                if let Some(Object::NumberType(old)) = self.object_mut(object) {
                    *old = number_type;
                }
            }
            _ => {}
        }
    }

    /// The object that a persistent id refers to: a storage, or the class of a module.
    pub(super) fn persistent(&mut self, id: Value) -> Outcome<Value> {
        let parts = self.sequence(id).unwrap_or_default();
        let kind = parts.first().and_then(|kind| self.text(*kind));
        match (kind, parts) {
            (Some("storage"), [_, class, key, _device, length, rest @ ..]) => {
                let view = rest.first().copied().unwrap_or(Value::None);
                let storage = self.storage(*class, *key, *length, view)?;
                Ok(self.add(Object::Storage(Rc::new(storage))))
            }
            // The class, then its source code, for warnings.
            (Some("module"), [_, class, ..]) => Ok(*class),
            _ => {
                let found = format!("the persistent id {}", self.describe(id));
                Err(Mismatch::new(found, "one of a storage or a module"))
            }
        }
    }

    fn opaque(&mut self, name: &Rc<str>) -> Value {
        self.add(Object::Opaque(Rc::clone(name)))
    }

    fn dict_of_items(&mut self, items: Value) -> Outcome<Value> {
        let pairs: Option<Vec<(Value, Value)>> = self.sequence(items).and_then(|items| {
            let pairs = items.iter().map(|item| match self.sequence(*item) {
                Some([key, value]) => Some((*key, *value)),
                _ => None,
            });
            pairs.collect()
        });
        match pairs {
            Some(pairs) => Ok(self.add(Object::Dict(pairs))),
            None => Err(Mismatch::new(
                self.describe(items),
                "pairs of keys and values",
            )),
        }
    }

    fn tensor(
        &mut self,
        storage: Value,
        start: Value,
        shape: Value,
        strides: Value,
    ) -> Outcome<Value> {
        let Some(Object::Storage(storage)) = self.object(storage) else {
            let found = self.describe(storage);
            return Err(Mismatch::new(found, "the storage of a tensor"));
        };
        let storage = Rc::clone(storage);
        let view = self.view(start, shape, strides)?;
        if let Element::Skipped { .. } = storage.element {
            return Ok(self.opaque(&storage.class));
        }
        let tensor = TensorRef { storage, view };
        Ok(self.add(Object::Tensor(Box::new(tensor))))
    }

    fn view(&self, start: Value, shape: Value, strides: Value) -> Outcome<View> {
        let start = self.size(start)?;
        let shape = self.sizes(shape)?;
        let mut strides = self.sizes(strides)?;
        if shape.len() != strides.len() {
            let found = format!("{} axes and {} strides", shape.len(), strides.len());
            return Err(Mismatch::new(found, "a stride for every axis"));
        }
        for (stride, length) in strides.iter_mut().zip(&shape) {
            // Never used; PyTorch leaves any number here.
            if *length == 1 {
                *stride = 0;
            }
        }
        Ok(View {
            start,
            shape,
            strides,
        })
    }

    fn parameter(&mut self, tensor: Value) -> Outcome<Value> {
        match self.object(tensor) {
            Some(Object::Tensor(_) | Object::Opaque(_)) => Ok(tensor),
            _ => Err(Mismatch::new(
                self.describe(tensor),
                "the tensor of a parameter",
            )),
        }
    }

    /// Bytes written as the text that has them as Latin-1 characters.
    fn encoded(&mut self, encode: &Global, text: Value, encoding: Value) -> Outcome<Value> {
        if !matches!(self.text(encoding), Some("latin1" | "latin-1")) {
            return Ok(self.opaque(&encode.name));
        }
        let bytes: Option<Box<[u8]>> = self.text(text).and_then(|text| {
            let bytes = text.chars().map(|letter| u8::try_from(letter).ok());
            bytes.collect()
        });
        match bytes {
            Some(bytes) => Ok(self.add(Object::Bytes(bytes))),
            None => Err(Mismatch::new(self.describe(text), "a text in Latin-1")),
        }
    }

    fn number_type(&mut self, dtype: &Global, code: Value) -> Value {
        match self.text(code).and_then(NumberType::of) {
            Some(number_type) => self.add(Object::NumberType(number_type)),
            None => self.opaque(&dtype.name),
        }
    }

    fn numpy_scalar(&mut self, scalar: &Global, number_type: Value, bytes: Value) -> Value {
        let number = match (self.object(number_type), self.object(bytes)) {
            (Some(Object::NumberType(number_type)), Some(Object::Bytes(bytes))) => {
                number_type.number(bytes)
            }
            _ => None,
        };
        number.unwrap_or_else(|| self.opaque(&scalar.name))
    }

    fn storage(&self, class: Value, key: Value, length: Value, view: Value) -> Outcome<StorageRef> {
        let Some(Object::Global(Global {
            name,
            role: Role::Storage(element),
        })) = self.object(class)
        else {
            let found = self.describe(class);
            return Err(Mismatch::new(found, "a storage class of PyTorch"));
        };
        let key = self.key(key)?;
        let whole = self.size(length)?;
        let (start, length) = match (view, self.sequence(view)) {
            (Value::None, _) => (0, whole),
            (_, Some([_key, start, length])) => (self.size(*start)?, self.size(*length)?),
            _ => return Err(Mismatch::new(self.describe(view), "a view of a storage")),
        };
        Ok(StorageRef {
            key,
            element: *element,
            class: Rc::clone(name),
            whole,
            start,
            length,
        })
    }

    /// The key of a storage, which is a number in digits.
    pub(in crate::checkpoint) fn key(&self, key: Value) -> Outcome<Box<str>> {
        match (key, self.text(key)) {
            (Value::Int(number), _) => Ok(number.to_string().into()),
            (_, Some(text)) if text.len() <= MAX_KEY => Ok(text.into()),
            _ => Err(Mismatch::new(self.describe(key), "the key of a storage")),
        }
    }

    fn sizes(&self, values: Value) -> Outcome<Vec<usize>> {
        match self.sequence(values) {
            Some(values) if values.len() <= MAX_AXES => {
                values.iter().map(|value| self.size(*value)).collect()
            }
            _ => Err(Mismatch::new(
                self.describe(values),
                format!("at most {MAX_AXES} sizes"),
            )),
        }
    }

    fn size(&self, value: Value) -> Outcome<usize> {
        let size = match value {
            Value::Int(integer) => usize::try_from(integer).ok(),
            _ => None,
        };
        size.ok_or_else(|| Mismatch::new(self.describe(value), "a size that is not negative"))
    }
}

/// Longest key of a storage, in bytes.
const MAX_KEY: usize = 256;
