//! Letters: messages with an id to know them by.

/// A message as it goes over the wire, its lines ended by CRLF.
pub fn letter(id: &str, lines: &[&str]) -> Vec<u8> {
    let mut text = format!(
        "From: Alice <alice@sender.example>\r\n\
         To: Robin <robin@example.org>\r\n\
         Subject: letter {id}\r\n\
         Date: Mon, 12 Oct 2026 09:30:00 +0200\r\n\
         Message-ID: <{id}@sender.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n"
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// One of about so many octets, each line of it another.
pub fn long_letter(id: &str, octets: usize) -> Vec<u8> {
    let mut text = letter(id, &[]);
    for line in 0.. {
        if text.len() >= octets {
            break;
        }
        text.extend_from_slice(format!("Line {line} of {id}, and grüße from it.\r\n").as_bytes());
    }
    text
}

/// What a letter is compared by: its id, and its text with lines ended by LF. Servers and clients
/// may add header fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Essence {
    pub id: String,
    pub text: String,
}

impl Essence {
    pub fn of(message: &[u8]) -> Self {
        let message = String::from_utf8_lossy(message).replace("\r\n", "\n");
        let (header, text) = message.split_once("\n\n").unwrap_or((&message, ""));
        let id = header
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: <")?.strip_suffix("@sender.example>"))
            .unwrap_or_else(|| panic!("no letter of ours:\n{header}"));
        Self { id: id.to_owned(), text: text.to_owned() }
    }
}
