//! Small pickles and files around them, put together by hand.

/// A file of the legacy format around `object`, a pickle with its protocol and `STOP`; `storages`
/// are the keys, element counts and bytes that follow.
pub(super) fn legacy(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    file.extend(object);
    file.extend(b"\x80\x02](");
    for (key, _, _) in storages {
        file.extend(text(key));
    }
    file.extend(b"e.");
    for (_, n_elements, bytes) in storages {
        file.extend(n_elements.to_le_bytes());
        file.extend(*bytes);
    }
    file
}

/// A pickle of protocol 2.
pub(super) fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

/// The opcode of a text of at most 255 bytes.
pub(super) fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x8c, length], text.as_bytes()].concat()
}

/// The opcodes of an integer.
pub(super) fn integer(integer: i64) -> Vec<u8> {
    [b"\x8a\x08".as_slice(), &integer.to_le_bytes()].concat()
}

/// The opcodes of a tuple of integers.
pub(super) fn integers(values: &[i64]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = values.iter().copied().map(integer).collect();
    [b"(", values.concat().as_slice(), b"t"].concat()
}

/// The opcodes of a tensor of single precision in the storage `key`.
pub(super) fn tensor(
    key: &str,
    length: i64,
    start: i64,
    shape: &[i64],
    strides: &[i64],
) -> Vec<u8> {
    let storage = [
        b"(",
        text("storage").as_slice(),
        b"ctorch\nFloatStorage\n",
        &text(key),
        &text("cpu"),
        &integer(length),
        b"tQ",
    ]
    .concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        storage.as_slice(),
        &integer(start),
        &integers(shape),
        &integers(strides),
        b"\x89}tR",
    ]
    .concat()
}

/// The opcodes of a dictionary.
pub(super) fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut opcodes = b"}(".to_vec();
    for (key, value) in items {
        opcodes.extend(text(key));
        opcodes.extend(value);
    }
    opcodes.push(b'u');
    opcodes
}
