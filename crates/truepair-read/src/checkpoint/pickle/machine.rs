//! The stack machine of pickles.

use std::collections::HashMap;

use super::global::Global;
use super::heap::{Heap, Object};
use super::input::Input;
use super::value::Value;
use super::{PROTOCOLS, Pickle, constant, opcode};
use crate::checkpoint::error::{Error, Mismatch, Result};

/// Most steps of one pickle: opcodes, and elements that an opcode copies. Each step takes a few
/// dozen bytes of memory at most, so this bounds stack, memo and heap. The state dicts of large
/// models take some ten thousand.
const MAX_STEPS: usize = 1 << 24;

/// Interprets the next pickle of `input`, up to and including its `STOP`.
pub(in crate::checkpoint) fn load(input: &mut Input<'_>) -> Result<Pickle> {
    let mut machine = Machine {
        at: input.offset(),
        input,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        n_steps: 0,
    };
    machine.require_start()?;
    let root = machine.run()?;
    Ok(Pickle {
        heap: machine.heap,
        root,
    })
}

struct Machine<'i, 'a> {
    input: &'i mut Input<'a>,
    heap: Heap,
    stack: Vec<Value>,
    /// Heights of the stack where marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    n_steps: usize,
    /// Offset of the present opcode.
    at: u64,
}

impl Machine<'_, '_> {
    fn require_start(&mut self) -> Result<()> {
        match self.input.byte()? {
            opcode::PROTO => self.protocol(),
            other => {
                let found = format!("the byte {other:#04x}");
                Err(self.mismatch(Mismatch::new(found, "a pickle of protocol 2 to 5")))
            }
        }
    }

    fn run(&mut self) -> Result<Value> {
        loop {
            self.at = self.input.offset();
            self.count_steps(1)?;
            let code = self.input.byte()?;
            if code == opcode::STOP {
                return self.pop();
            }
            let known = self.constant(code)?
                || self.container(code)?
                || self.memory(code)?
                || self.stack_order(code)?
                || self.instance(code)?;
            if !known {
                let found = format!("the opcode {code:#04x}");
                let expected = "one that the pickles of torch.save use (protocols 2 to 5)";
                return Err(self.mismatch(Mismatch::new(found, expected)));
            }
        }
    }

    /// Opcodes that push a number, a text or another constant.
    fn constant(&mut self, code: u8) -> Result<bool> {
        let constant = constant::read(code, self.input, &mut self.heap)?;
        self.stack.extend(constant);
        Ok(constant.is_some())
    }

    /// Opcodes that make or fill lists, tuples, sets and dictionaries.
    fn container(&mut self, code: u8) -> Result<bool> {
        match code {
            opcode::EMPTY_LIST | opcode::EMPTY_SET | opcode::EMPTY_TUPLE => {
                self.push_object(Object::Sequence(Vec::new()));
            }
            opcode::EMPTY_DICT => self.push_object(Object::Dict(Vec::new())),
            opcode::TUPLE1 => self.push_tuple(1)?,
            opcode::TUPLE2 => self.push_tuple(2)?,
            opcode::TUPLE3 => self.push_tuple(3)?,
            opcode::TUPLE | opcode::FROZENSET => {
                let elements = self.pop_to_mark()?;
                self.push_object(Object::Sequence(elements));
            }
            opcode::APPEND => {
                let element = self.pop()?;
                self.append(&[element])?;
            }
            opcode::APPENDS | opcode::ADDITEMS => {
                let elements = self.pop_to_mark()?;
                self.append(&elements)?;
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn push_object(&mut self, object: Object) {
        let value = self.heap.add(object);
        self.stack.push(value);
    }

    fn push_tuple(&mut self, length: usize) -> Result<()> {
        let mut elements = vec![Value::None; length];
        for element in elements.iter_mut().rev() {
            *element = self.pop()?;
        }
        self.push_object(Object::Sequence(elements));
        Ok(())
    }

    fn append(&mut self, elements: &[Value]) -> Result<()> {
        let target = self.top()?;
        match self.heap.object_mut(target) {
            Some(Object::Sequence(list)) => list.extend(elements),
            Some(Object::Opaque(_)) => {}
            _ => return Err(self.not_a(target, "a list or set to extend")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Value]) -> Result<()> {
        let target = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            let found = format!("{} keys and values", items.len());
            return Err(self.mismatch(Mismatch::new(found, "a value for every key")));
        }
        match self.heap.object_mut(target) {
            Some(Object::Dict(dict)) => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)))
            }
            Some(Object::Opaque(_)) => {}
            _ => return Err(self.not_a(target, "a dictionary to extend")),
        }
        Ok(())
    }

    /// Opcodes that put values into the memo and get them back.
    fn memory(&mut self, code: u8) -> Result<bool> {
        let index = match code {
            opcode::BINGET | opcode::BINPUT => self.input.byte()?.into(),
            opcode::LONG_BINGET | opcode::LONG_BINPUT => u32::from_le_bytes(self.input.array()?),
            opcode::MEMOIZE => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
            _ => return Ok(false),
        };
        if matches!(code, opcode::BINGET | opcode::LONG_BINGET) {
            let Some(value) = self.memo.get(&index) else {
                let found = format!("the number {index} that nothing was memoized under");
                return Err(self.mismatch(Mismatch::new(found, "a memoized number")));
            };
            self.stack.push(*value);
        } else {
            let value = self.top()?;
            self.memo.insert(index, value);
        }
        Ok(true)
    }

    /// Opcodes that only rearrange the stack, and those about the stream itself.
    fn stack_order(&mut self, code: u8) -> Result<bool> {
        match code {
            opcode::MARK => self.marks.push(self.stack.len()),
            opcode::POP => {
                self.pop()?;
            }
            opcode::POP_MARK => {
                self.pop_to_mark()?;
            }
            opcode::DUP => self.stack.push(self.top()?),
            opcode::PROTO => self.protocol()?,
            // The length of the next part, for readers that buffer.
            opcode::FRAME => {
                self.input.array::<8>()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<()> {
        let version = self.input.byte()?;
        if PROTOCOLS.contains(&version) {
            return Ok(());
        }
        let found = format!("pickle protocol {version}");
        Err(self.mismatch(Mismatch::new(found, "protocol 2 to 5")))
    }

    /// Opcodes that name, make and fill instances of classes, and the persistent ids.
    fn instance(&mut self, code: u8) -> Result<bool> {
        match code {
            opcode::GLOBAL => {
                let module = self.input.line()?;
                let name = self.input.line()?;
                let (module, name) = (
                    String::from_utf8_lossy(&module),
                    String::from_utf8_lossy(&name),
                );
                self.push_object(Object::Global(Global::new(&module, &name)));
            }
            opcode::STACK_GLOBAL => self.stack_global()?,
            opcode::REDUCE | opcode::NEWOBJ => {
                let arguments = self.pop()?;
                self.call(arguments)?;
            }
            opcode::NEWOBJ_EX => {
                let _keywords = self.pop()?;
                let arguments = self.pop()?;
                self.call(arguments)?;
            }
            opcode::OBJ => self.old_style_instance()?,
            opcode::BUILD => {
                let state = self.pop()?;
                let target = self.top()?;
                self.count_copy(state)?;
                self.heap.build(target, state);
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let object = self.heap.persistent(id);
                let object = object.map_err(|mismatch| self.mismatch(mismatch))?;
                self.stack.push(object);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn stack_global(&mut self) -> Result<()> {
        let name = self.pop()?;
        let module = self.pop()?;
        match (self.heap.text(module), self.heap.text(name)) {
            (Some(module_text), Some(name_text)) => {
                let global = Global::new(module_text, name_text);
                self.count_copy(module)?;
                self.count_copy(name)?;
                self.push_object(Object::Global(global));
                Ok(())
            }
            (None, _) => Err(self.not_a(module, "the text of a module's name")),
            (_, None) => Err(self.not_a(name, "the text of a class or function's name")),
        }
    }

    fn call(&mut self, arguments: Value) -> Result<()> {
        let callee = self.pop()?;
        self.count_copy(arguments)?;
        let Some(values) = self.heap.sequence(arguments).map(<[Value]>::to_vec) else {
            return Err(self.not_a(arguments, "a tuple of arguments"));
        };
        self.call_with(callee, &values)
    }

    /// An instance of a class without `__new__`, as Python 2 has them: class and arguments since
    /// the mark.
    fn old_style_instance(&mut self) -> Result<()> {
        let values = self.pop_to_mark()?;
        match values.split_first() {
            Some((callee, arguments)) => self.call_with(*callee, arguments),
            None => Err(self.mismatch(Mismatch::new("nothing", "the class of an instance"))),
        }
    }

    fn call_with(&mut self, callee: Value, arguments: &[Value]) -> Result<()> {
        for argument in arguments {
            self.count_copy(*argument)?;
        }
        let result = self.heap.call(callee, arguments);
        let result = result.map_err(|mismatch| self.mismatch(mismatch))?;
        self.stack.push(result);
        Ok(())
    }

    /// Counts what a copy of `value` takes: an argument may be used again and again.
    fn count_copy(&mut self, value: Value) -> Result<()> {
        let n = match self.heap.object(value) {
            Some(Object::Sequence(values)) => values.len(),
            Some(Object::Dict(pairs)) => pairs.len(),
            Some(Object::Text(text)) => text.len() / 16,
            Some(Object::Bytes(bytes)) => bytes.len() / 16,
            _ => 0,
        };
        self.count_steps(n)
    }

    fn count_steps(&mut self, n: usize) -> Result<()> {
        self.n_steps = self.n_steps.saturating_add(n);
        if self.n_steps <= MAX_STEPS {
            return Ok(());
        }
        let expected = format!("a pickle of at most {MAX_STEPS} steps");
        Err(self.mismatch(Mismatch::new("more", expected)))
    }

    fn top(&self) -> Result<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(value) if self.stack.len() > floor => Ok(*value),
            _ => Err(self.mismatch(Mismatch::new("an empty stack", "a value on it"))),
        }
    }

    fn pop(&mut self) -> Result<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height)),
            None => Err(self.mismatch(Mismatch::new("no mark on the stack", "one"))),
        }
    }

    fn not_a(&self, value: Value, expected: &str) -> Error {
        self.mismatch(Mismatch::new(self.heap.describe(value), expected))
    }

    fn mismatch(&self, mismatch: Mismatch) -> Error {
        self.input.origin().mismatch(Some(self.at), mismatch)
    }
}
