//! Reads the fields of a record one after the other, and writes its texts.

use bytes::Bytes;

use crate::store::record::{Record, RecordError};

/// What of a record is not read yet.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub fn u8(&mut self) -> Result<u8, RecordError> {
        self.number().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, RecordError> {
        self.number().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, RecordError> {
        self.number().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, RecordError> {
        self.number().map(u64::from_le_bytes)
    }

    pub fn bool(&mut self, field: &'static str) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Field(field)),
        }
    }

    /// A text that carries its length in two octets.
    pub fn text(&mut self) -> Result<Bytes, RecordError> {
        let length = usize::from(self.u16()?);
        self.octets(length)
    }

    /// A text that carries its length in four octets.
    pub fn long_text(&mut self) -> Result<Bytes, RecordError> {
        let length = usize::try_from(self.u32()?).map_err(|_| RecordError::Short)?;
        self.octets(length)
    }

    pub fn ended(&self) -> Result<(), RecordError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Field("length")) }
    }

    fn octets(&mut self, length: usize) -> Result<Bytes, RecordError> {
        let (text, rest) = self.0.split_at_checked(length).ok_or(RecordError::Short)?;
        self.0 = rest;
        // Most entries have no text at all, and an empty one takes no memory.
        Ok(if text.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(text) })
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(*number)
    }
}

/// Writes a text behind its length.
pub fn put_text(record: &mut Record, text: &[u8]) {
    // Addresses, keywords and hashes are all far below two octets of length.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&text[..usize::from(length)]);
}
