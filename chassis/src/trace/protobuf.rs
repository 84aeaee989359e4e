//! Writing Protocol Buffers, as far as spans need it (protobuf.dev, "Encoding").

/// Wire types: how the length of a field is told.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// A message that is being written. Fields that say nothing are left out, as the format wants.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.tag(field, VARINT);
            self.number(value);
        }
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.whole(field, bytes);
        }
    }

    pub(super) fn string(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message within it, also when it is empty.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.whole(field, &inner.0);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn whole(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH);
        // On no machine is a usize larger.
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend(bytes);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.number(u64::from(field << 3 | wire_type));
    }

    /// Seven bits to a byte, the lowest first; the eighth says that more follow.
    fn number(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return self.0.push(low & 0x7f);
            }
            self.0.push(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's own description.
    #[test]
    fn fields_are_written_as_the_format_describes() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.string(2, "testing");
        message.message(3, |inner| inner.varint(1, 150));
        message.varint(4, 0);
        message.bytes(5, &[]);
        message.fixed64(6, 1);
        message.fixed32(16, 2);
        let hex: Vec<_> = message.finish().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex.concat(),
            "089601120774657374696e671a03089601310100000000000000850102000000"
        );
    }
}
