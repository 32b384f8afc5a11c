//! TensorBoard event files: scalars in the TFRecord framing, written by hand because the format is
//! small and frozen.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use truepair_core::Error;
use truepair_core::scores::Direction;

use super::file;
use super::session::EpochRecord;
use crate::error::Result;

/// The event file of one run, appended to once an epoch.
#[derive(Debug)]
pub(crate) struct Events {
    path: PathBuf,
    len: u64,
}

impl Events {
    /// The event file of `dir`; nothing is written yet.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(file::EVENTS),
            len: 0,
        }
    }

    /// Bytes that belong to finished epochs.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Continues after `len` bytes; whatever follows them is cut off.
    pub(crate) fn resume(&mut self, len: u64) -> Result<()> {
        self.len = len;
        Ok(())
    }

    /// Appends one epoch's scalars.
    pub(crate) fn epoch(&mut self, record: &EpochRecord, now: f64) -> Result<()> {
        let mut bytes = Vec::new();
        if self.len == 0 {
            bytes.extend(frame(&file_version(now)));
        }
        for (tag, value) in scalars(record) {
            bytes.extend(frame(&scalar(now, record.epoch as u64, &tag, value as f32)));
        }
        self.append(&bytes)
            .map_err(|source| Error::io(&self.path, "write", source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file: File = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&self.path)?;
        file.set_len(self.len)?;
        file.seek(SeekFrom::Start(self.len))?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

fn scalars(record: &EpochRecord) -> Vec<(String, f64)> {
    let mut scalars: Vec<(String, f64)> = (record.losses.iter().enumerate())
        .map(|(peer, loss)| (format!("loss/peer_{peer}"), *loss))
        .collect();
    scalars.push(("rate".into(), record.rate));
    if let Some(dev) = &record.dev {
        scalars.extend(dev.figures.iter().map(|figure| {
            let side = figure.direction.map_or("", |direction| match direction {
                Direction::ImageToText => "i2t/",
                Direction::TextToImage => "t2i/",
            });
            (format!("dev/{side}{}", figure.metric.name()), figure.value)
        }));
    } else if let Some(criterion) = &record.criterion {
        scalars.push(("held_out".into(), criterion.value));
    }
    scalars
}

/// Length, masked CRC of the length, data, masked CRC of the data.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// `Event { wall_time = 1, file_version = 3 }`.
fn file_version(now: f64) -> Vec<u8> {
    let mut event = wall_time(now);
    bytes_field(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } } }`.
fn scalar(now: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let mut inner = Vec::new();
    bytes_field(&mut inner, 1, tag.as_bytes());
    inner.push(2 << 3 | 5);
    inner.extend(value.to_le_bytes());
    let mut summary = Vec::new();
    bytes_field(&mut summary, 1, &inner);
    let mut event = wall_time(now);
    event.push(2 << 3);
    varint(&mut event, step);
    bytes_field(&mut event, 5, &summary);
    event
}

fn wall_time(now: f64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(now.to_le_bytes());
    event
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_framed_as_tensorflow_does() {
        // CRC-32C of "123456789" is 0xe306_9283 (its published check value); masked by hand.
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
        let framed = frame(b"abc");
        assert_eq!(&framed[..8], &3u64.to_le_bytes());
        assert_eq!(framed.len(), 8 + 4 + 3 + 4);
    }

    #[test]
    fn long_numbers_take_several_bytes() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
