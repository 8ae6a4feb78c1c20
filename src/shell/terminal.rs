//! The terminal, asked for a password that it does not show.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::limits::PASSWORD_MAX;

/// Asks and reads one line, its end included. `None`: standard input is no terminal.
pub fn ask_hidden(question: &str) -> io::Result<Option<Vec<u8>>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let _hidden = Hidden::begin()?;
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush())?;
    let mut line = Vec::new();
    // One octet too many, and the line's end, show that it is too long.
    stdin.lock().take(PASSWORD_MAX as u64 + 2).read_until(b'\n', &mut line)?;
    Ok(Some(line))
}

/// While it lives, the terminal shows nothing but the ends of lines.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Hidden> {
        let was = tcgetattr(io::stdin())?;
        let mut hidden = was.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Hidden(was))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
