//! The log: a bounded queue to one thread that writes lines, and never blocks a core.

mod line;

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::clock;
use crate::{
    config::{self, Format, Level},
    limits::{LOG_GATHER, LOG_PART, LOG_PATIENCE, LOG_QUEUE},
    relay::Event,
    time::Wall,
};

/// Where events go. Cloned for each thread.
#[derive(Clone)]
pub struct Log {
    queue: Sender<Entry>,
    dropped: Arc<AtomicU64>,
    level: Level,
}

/// The thread that writes.
pub struct Writer {
    queue: Sender<Entry>,
    thread: thread::JoinHandle<()>,
}

enum Entry {
    Event(Wall, Box<Event>),
    /// Write what is queued, and end.
    Finish,
}

/// Starts the thread that writes to `sink`.
pub fn start(
    options: &config::Log,
    sink: impl Write + Send + 'static,
) -> io::Result<(Log, Writer)> {
    let (sender, receiver) = bounded(LOG_QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let log = Log { queue: sender.clone(), dropped: dropped.clone(), level: options.level };
    let format = options.format;
    let thread = thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(&receiver, &dropped, format, sink))?;
    Ok((log, Writer { queue: sender, thread }))
}

impl Log {
    /// Queues an event; when the queue is full, counts it as dropped.
    pub fn note(&self, event: Box<Event>) {
        let level = match *event {
            Event::Warning(_) => Level::Warn,
            _ => Level::Info,
        };
        if level <= self.level
            && self.queue.try_send(Entry::Event(clock::now().wall, event)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn tell(&self, sentence: String) {
        self.note(Box::new(Event::Notice(sentence)));
    }

    pub fn warn(&self, sentence: String) {
        self.note(Box::new(Event::Warning(sentence)));
    }
}

impl Writer {
    /// Writes what is queued, if that can be had within `LOG_PATIENCE`.
    pub fn finish(self) {
        let deadline = Instant::now() + LOG_PATIENCE;
        // Whoever reads the log may have stopped reading: that must not keep us from the end.
        if self.queue.send_deadline(Entry::Finish, deadline).is_ok() {
            while !self.thread.is_finished() && Instant::now() < deadline {
                thread::sleep(LOG_GATHER);
            }
        }
    }
}

fn write_all(queue: &Receiver<Entry>, dropped: &AtomicU64, format: Format, mut sink: impl Write) {
    let mut text = Vec::new();
    // An empty queue wakes this thread with its first line; the nap after it gathers the lines
    // that follow, so that a core seldom pays for the waking.
    while let Ok(first) = queue.recv() {
        if matches!(first, Entry::Event(..)) {
            thread::sleep(LOG_GATHER);
        }
        let mut entry = Some(first);
        let mut finished = false;
        while let Some(next) = entry {
            match next {
                Entry::Event(wall, event) => line::write(&mut text, wall, &event, format),
                Entry::Finish => finished = true,
            }
            if text.len() >= LOG_PART {
                write_out(&mut sink, &mut text);
            }
            entry = queue.try_recv().ok();
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let sentence = format!("{lost} log lines were dropped: whoever reads them is too slow");
            line::write(&mut text, clock::now().wall, &Event::Warning(sentence), format);
        }
        write_out(&mut sink, &mut text);
        if finished {
            return;
        }
    }
}

/// A log that cannot be written must not stop the mail.
fn write_out(sink: &mut impl Write, text: &mut Vec<u8>) {
    let _ = sink.write_all(text).and_then(|()| sink.flush());
    text.clear();
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_the_level_come_out_in_order() {
        let sink = Sink::default();
        let options = config::Log { level: Level::Warn, format: Format::Text };
        let (log, writer) = start(&options, sink.clone()).unwrap();
        for number in 0..100 {
            log.warn(format!("line {number}"));
            log.note(Box::new(Event::Removed { id: crate::mail::QueueId::MIN }));
        }
        writer.finish();
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 100);
        for (number, line) in lines.iter().enumerate() {
            assert!(line.ends_with(&format!("Z warning: line {number}")), "{line}");
        }
    }

    #[test]
    fn what_is_dropped_is_told() {
        let (sender, receiver) = bounded(2);
        let log = Log { queue: sender.clone(), dropped: Arc::default(), level: Level::Info };
        for _ in 0..5 {
            log.warn("full".to_owned());
        }
        // The queue is full: nobody reads it yet.
        let sink = Sink::default();
        let (theirs, dropped) = (sink.clone(), log.dropped.clone());
        let thread = thread::spawn(move || write_all(&receiver, &dropped, Format::Text, theirs));
        sender.send(Entry::Finish).unwrap();
        thread.join().unwrap();
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("3 log lines were dropped"), "{text}");
    }
}
