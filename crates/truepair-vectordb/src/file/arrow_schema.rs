//! Arrow's description of a table, which its readers look for in a parquet file's metadata: parquet itself has no
//! lists of a fixed length, and LanceDB takes such lists for vectors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, WIPOffset};

/// The key under which parquet files hold it.
pub(super) const KEY: &str = "ARROW:schema";

/// A type of Arrow, as far as tables here have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrowType {
    Bool,
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers of 64 bits.
    Double,
    Text,
    /// So many numbers of 32 bits.
    Vector(i32),
}

/// A column: its name, its type, and whether values may be missing.
pub(super) type ArrowField<'a> = (&'a str, ArrowType, bool);

// Places of fields in Arrow's tables (`Message.fbs`, `Schema.fbs`), each two bytes after a head of four.
const fn slot(at: u16) -> u16 {
    4 + 2 * at
}

/// The version of the metadata, `V5`.
const VERSION: i16 = 4;
/// The message is a schema.
const SCHEMA: u8 = 1;

/// The schema as the value of [`KEY`]: base64 of the message that a stream would begin with.
pub(super) fn encoded(fields: &[ArrowField<'_>]) -> String {
    let mut builder = FlatBufferBuilder::new();
    let fields: Vec<_> = fields
        .iter()
        .map(|field| written(&mut builder, *field))
        .collect();
    let fields = builder.create_vector(&fields);
    let start = builder.start_table();
    builder.push_slot_always(slot(1), fields);
    let schema = builder.end_table(start);
    let start = builder.start_table();
    builder.push_slot_always(slot(0), VERSION);
    builder.push_slot_always(slot(1), SCHEMA);
    builder.push_slot_always(slot(2), WIPOffset::<UnionWIPOffset>::new(schema.value()));
    builder.push_slot_always(slot(3), 0i64);
    let message = builder.end_table(start);
    builder.finish_minimal(message);
    let message = builder.finished_data();
    let padded = message.len().next_multiple_of(8);
    let mut bytes = vec![0xff; 4];
    bytes.extend((padded as u32).to_le_bytes());
    bytes.extend(message);
    bytes.resize(8 + padded, 0);
    STANDARD.encode(bytes)
}

struct FieldTable;

/// Writes a field's table and what it refers to.
fn written<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    (name, kind, is_optional): ArrowField<'_>,
) -> WIPOffset<ForwardsUOffset<FieldTable>> {
    let children = match kind {
        ArrowType::Vector(_) => vec![number_of_vector(builder)],
        _ => Vec::new(),
    };
    let children = builder.create_vector(&children);
    let start = builder.start_table();
    // The number that Arrow's union of types gives each.
    let of_union: u8 = match kind {
        ArrowType::Int => {
            builder.push_slot_always(slot(0), 64i32);
            builder.push_slot_always(slot(1), true);
            2
        }
        ArrowType::Double => {
            builder.push_slot_always(slot(0), 2i16);
            3
        }
        ArrowType::Text => 5,
        ArrowType::Bool => 6,
        ArrowType::Vector(length) => {
            builder.push_slot_always(slot(0), length);
            16
        }
    };
    let kind = builder.end_table(start);
    field(
        builder,
        name,
        is_optional,
        (of_union, kind.value()),
        children,
    )
}

/// Numbers of 32 bits.
fn number_of_vector<'b>(
    builder: &mut FlatBufferBuilder<'b>,
) -> WIPOffset<ForwardsUOffset<FieldTable>> {
    let none: [WIPOffset<ForwardsUOffset<FieldTable>>; 0] = [];
    let children = builder.create_vector(&none);
    let start = builder.start_table();
    builder.push_slot_always(slot(0), 1i16);
    let kind = builder.end_table(start);
    field(builder, "element", false, (3, kind.value()), children)
}

fn field<'b, T: flatbuffers::Push + Copy>(
    builder: &mut FlatBufferBuilder<'b>,
    name: &str,
    is_optional: bool,
    (of_union, kind): (u8, u32),
    children: T,
) -> WIPOffset<ForwardsUOffset<FieldTable>> {
    let name = builder.create_string(name);
    let start = builder.start_table();
    builder.push_slot_always(slot(0), name);
    builder.push_slot_always(slot(1), is_optional);
    builder.push_slot_always(slot(2), of_union);
    builder.push_slot_always(slot(3), WIPOffset::<UnionWIPOffset>::new(kind));
    builder.push_slot_always(slot(5), children);
    let end = builder.end_table(start);
    WIPOffset::new(end.value())
}
