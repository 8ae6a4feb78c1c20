//! How a run is watched and ended: the live line, lines of JSON, the result, Ctrl-C.
//!
//! The main thread of a command does this, about every 100 ms:
//!
//! ```ignore
//! let mut live = Live::new(&args.output, &format!("source {target}"), Goal::Count(messages));
//! while !interrupt.asked() && !finished {
//!     // ... wait for the threads' figures, 100 ms at most ...
//!     live.add(acknowledged_since, errors_since, &latencies_since);
//!     live.tick();
//! }
//! let result = Source { series: live.series(), .. };
//! live.finish(&result, &table)?;
//! ```

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

use crate::{
    meter::Latencies,
    outcome::{Line, Progress},
    sampler::{Sampler, Series},
    units,
};

/// How often the figures of the live line change: a person must be able to read them.
const SHOWN_INTERVAL: Duration = Duration::from_millis(500);

/// The exit code when the user asks a second time.
const EXIT_AT_ONCE: i32 = 1;

/// Signals this close together are one request: `timeout` sends its own to the process and to the
/// group that it is in.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// Longer than any run: what is left to do at a rate of nearly nothing.
const LEFT_MAX_SECONDS: f64 = 99.0 * 3_600.0;

/// What a command prints, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Output {
    /// Print machine-readable lines: progress while it runs, the result at the end
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// How often --json prints progress
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1s",
        value_parser = units::duration,
        help_heading = "Output"
    )]
    pub every: Duration,

    /// No live line on the terminal
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
}

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Whether the user asked to end. SIGINT or SIGTERM asks; one that comes again, and not just with
/// the first, ends the process at once.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    pub fn install() -> io::Result<Interrupt> {
        let (asked, was_heard) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in SIGNALS {
            flag::register_conditional_shutdown(signal, EXIT_AT_ONCE, was_heard.clone())?;
            flag::register(signal, asked.clone())?;
        }
        let mut signals = Signals::new(SIGNALS)?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                thread::sleep(ONE_REQUEST);
                was_heard.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(Interrupt { asked })
    }

    /// For a command that has to clean up: the second signal is as the first.
    pub fn patient() -> io::Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            flag::register(signal, asked.clone())?;
        }
        Ok(Interrupt { asked })
    }

    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// What a run works towards: a bar where the end is known, else only a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    Count(u64),
    Time(Duration),
    Open,
}

/// Shows a run while it goes on. It is the one place that computes rates and percentiles of an
/// interval: a command hands it what came since the last time, with `add`.
pub struct Live {
    goal: Goal,
    started: Instant,
    bar: ProgressBar,
    /// Where `--json` lines go; `None` without it.
    lines: Option<Lines<io::Stdout>>,
    every: Duration,
    shown: Sampler,
    printed: Sampler,
    printed_at: Instant,
    series: Series,
}

impl Live {
    /// The run begins now. The title says what runs and where, such as `source 127.0.0.1:2525`.
    pub fn new(output: &Output, title: &str, goal: Goal) -> Live {
        let started = Instant::now();
        Live {
            goal,
            started,
            bar: bar(output, title, goal),
            lines: output.json.then(|| Lines::new(io::stdout())),
            every: output.every,
            shown: Sampler::new(started),
            printed: Sampler::new(started),
            printed_at: started,
            series: Series::new(started),
        }
    }

    /// What `Progress::seconds` counts from.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What came since the last `add`: work done, errors, and the latencies of that work.
    pub fn add(&mut self, done: u64, errors: u64, latencies: &Latencies) {
        self.shown.add(done, errors, latencies);
        self.printed.add(done, errors, latencies);
        self.series.add(done, errors, latencies);
    }

    /// Draws and prints what is due. Call it about every 100 ms, with or without news.
    pub fn tick(&mut self) {
        let now = Instant::now();
        self.series.tick(now);
        if let Some(progress) = self.shown.every(SHOWN_INTERVAL, now) {
            self.show(&progress);
        }
        if let Some(progress) = self.printed.every(self.every, now) {
            self.print(progress);
        }
        self.draw(now);
    }

    /// Instead of `add` and `tick`, for a command that watches another process: shows these
    /// figures, cumulative `done` and `errors`, as they are, and prints them if a line is due.
    pub fn sample(&mut self, progress: &Progress) {
        let now = Instant::now();
        self.show(progress);
        if now.duration_since(self.printed_at) >= self.every {
            self.printed_at = now;
            self.print(progress.clone());
        }
        self.draw(now);
    }

    /// The run so far, for the result: about one point a second.
    pub fn series(&mut self) -> Vec<Progress> {
        self.series.points(Instant::now())
    }

    /// Clears the live line and prints the result: one line with `--json`, else the text.
    ///
    /// A reader that went away is no error: it has seen what it wanted.
    pub fn finish<R: Serialize>(mut self, result: &R, text: &str) -> io::Result<()> {
        self.bar.finish_and_clear();
        match &mut self.lines {
            Some(lines) => lines.line(&Line::Result(result)),
            None => Lines::new(io::stdout()).text(text),
        }
    }

    fn show(&mut self, progress: &Progress) {
        if let Goal::Count(count) = self.goal {
            self.bar.set_position(progress.done.min(count));
        }
        self.bar.set_message(message(self.goal, progress));
    }

    fn draw(&mut self, now: Instant) {
        match self.goal {
            Goal::Time(whole) => {
                self.bar.set_position(millis(now.duration_since(self.started).min(whole)));
            }
            Goal::Count(_) | Goal::Open => self.bar.tick(),
        }
    }

    fn print(&mut self, progress: Progress) {
        let Some(lines) = &mut self.lines else { return };
        let line = Line::<()>::Progress(progress);
        // The run goes on without this line; `finish` meets the same fault and says it.
        let _ = self.bar.suspend(|| lines.line(&line));
    }
}

fn bar(output: &Output, title: &str, goal: Goal) -> ProgressBar {
    let (length, template) = match goal {
        Goal::Count(count) => (Some(count), "{prefix} {bar:10.cyan/dim} {percent:>3}% {wide_msg}"),
        Goal::Time(whole) => {
            (Some(millis(whole)), "{prefix} {bar:10.cyan/dim} {percent:>3}% {wide_msg}")
        }
        Goal::Open => (None, "{prefix} {spinner:.cyan} {wide_msg}"),
    };
    // Where stderr is no terminal this target draws nothing.
    let target =
        if output.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template)
        .expect("the templates above are well-formed")
        .progress_chars("━╸ ");
    ProgressBar::with_draw_target(length, target).with_style(style).with_prefix(title.to_owned())
}

/// `12,345/s  3 errors  p50 1.20 ms  p99 4.80 ms  00:12 left  618,000 done`: what matters most
/// comes first, for a narrow terminal cuts the end off.
fn message(goal: Goal, progress: &Progress) -> String {
    let mut parts = vec![format!("{}/s", units::show_count(progress.rate.round() as u64))];
    match progress.errors {
        0 => {}
        1 => parts.push("1 error".into()),
        errors => parts.push(format!("{} errors", units::show_count(errors))),
    }
    if progress.p99_us > 0.0 {
        parts.push(format!("p50 {}", units::show_micros(progress.p50_us)));
        parts.push(format!("p99 {}", units::show_micros(progress.p99_us)));
    }
    parts.push(match left(goal, progress) {
        Some(seconds) => format!("{} left", clock(seconds)),
        None => clock(progress.seconds),
    });
    parts.push(format!("{} done", units::show_count(progress.done)));
    parts.join("  ")
}

/// The seconds until the goal, where they can be known.
fn left(goal: Goal, progress: &Progress) -> Option<f64> {
    let left = match goal {
        Goal::Time(whole) => whole.as_secs_f64() - progress.seconds,
        Goal::Count(count) if progress.done > 0 => {
            count.saturating_sub(progress.done) as f64 * progress.seconds / progress.done as f64
        }
        Goal::Count(_) | Goal::Open => return None,
    };
    Some(left.clamp(0.0, LEFT_MAX_SECONDS))
}

/// `00:12`, or `1:02:03`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes whole lines, each flushed, to a reader that may go away.
struct Lines<W> {
    out: W,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Lines<W> {
        Lines { out }
    }

    fn line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.text(&serde_json::to_string(value)?)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{}\n", text.trim_end_matches('\n'));
        match self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use signal_hook::low_level::raise;

    use super::*;

    /// Set for the process that the test below starts, which is this very test again.
    const CHILD: &str = "RINGLOAD_TEST_CHILD";
    const SURVIVED: &str = "two signals at once were one";

    #[test]
    fn asking_again_ends_at_once_and_signals_together_are_one() {
        if env::var_os(CHILD).is_some() {
            let interrupt = Interrupt::install().unwrap();
            assert!(!interrupt.asked());
            raise(SIGTERM).unwrap();
            assert!(interrupt.asked());
            raise(SIGTERM).unwrap();
            println!("{SURVIVED}");
            // Once a moment has passed, a further one ends it.
            for _ in 0..1_000 {
                raise(SIGINT).unwrap();
                thread::sleep(ONE_REQUEST / 10);
            }
            std::process::exit(0);
        }
        let child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "progress::tests::asking_again_ends_at_once_and_signals_together_are_one",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.code(), Some(EXIT_AT_ONCE), "{child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains(SURVIVED), "{child:?}");
    }

    #[test]
    fn the_live_line_says_where_the_run_is() {
        let progress = |seconds, done, errors, p99_us| Progress {
            seconds,
            done,
            errors,
            rate: 12_345.4,
            p50_us: p99_us / 4.0,
            p99_us,
        };
        for (goal, progress, want) in [
            (
                Goal::Count(1_000_000),
                progress(48.0, 800_000, 3, 4_800.0),
                "12,345/s  3 errors  p50 1.20 ms  p99 4.80 ms  00:12 left  800,000 done",
            ),
            (Goal::Count(10), progress(1.0, 0, 1, 0.0), "12,345/s  1 error  00:01  0 done"),
            (Goal::Count(10), progress(1.0, 12, 0, 0.0), "12,345/s  00:00 left  12 done"),
            (
                Goal::Time(Duration::from_secs(7_200)),
                progress(10.0, 5, 0, 0.0),
                "12,345/s  1:59:50 left  5 done",
            ),
            (Goal::Open, progress(3_723.0, 5, 0, 0.0), "12,345/s  1:02:03  5 done"),
        ] {
            assert_eq!(message(goal, &progress), want);
        }
    }

    #[test]
    fn the_bar_is_as_long_as_the_goal() {
        let output = Output { json: false, every: Duration::from_secs(1), quiet: true };
        for (goal, length) in [
            (Goal::Count(7), Some(7)),
            (Goal::Time(Duration::from_secs(2)), Some(2_000)),
            (Goal::Open, None),
        ] {
            let mut live = Live::new(&output, "source", goal);
            live.sample(&Progress { done: 9, ..Progress::default() });
            assert_eq!(live.bar.length(), length);
            assert!(length.is_none_or(|length| live.bar.position() <= length));
        }
    }

    #[derive(Serialize)]
    struct Shape {
        seen: u64,
    }

    #[test]
    fn lines_are_whole_objects() {
        let mut lines = Lines::new(Vec::new());
        lines.line(&Line::<()>::Progress(Progress::default())).unwrap();
        lines.line(&Line::Result(&Shape { seen: 7 })).unwrap();
        lines.text("table\n").unwrap();
        let want = concat!(
            r#"{"kind":"progress","seconds":0.0,"done":0,"errors":0,"#,
            r#""rate":0.0,"p50_us":0.0,"p99_us":0.0}"#,
            "\n",
            r#"{"kind":"result","seen":7}"#,
            "\ntable\n"
        );
        assert_eq!(String::from_utf8(lines.out).unwrap(), want);
    }

    struct Faulty(io::ErrorKind);

    impl Write for Faulty {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_may_go_away_but_a_full_disk_is_told() {
        for (kind, works) in
            [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)]
        {
            assert_eq!(Lines::new(Faulty(kind)).text("result").is_ok(), works);
        }
    }
}
