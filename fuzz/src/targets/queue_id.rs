//! Queue ids: what is taken prints as it was written, but for its case.

use ringmail::mail::QueueId;

pub fn run(input: &[u8]) {
    for line in input.split(|b| *b == b'\n') {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let Ok(id) = text.parse::<QueueId>() else { continue };
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(number) = input.first_chunk::<8>() {
        let id = QueueId::from_u64(u64::from_be_bytes(*number));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
