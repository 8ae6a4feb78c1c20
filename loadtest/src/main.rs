//! The command line of `ringload`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ringload::{compare, imap, report, sink, source, zone};

/// Load segments of a connection last as long as the connection: each thread keeps its own heap.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures mail servers, and says how they compare.
#[derive(Parser)]
#[command(name = "ringload", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Source(Box<source::Args>),
    Sink(sink::Args),
    Zone(zone::Args),
    Imap(Box<imap::Args>),
    Compare(compare::Args),
    Report(report::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Source(args) => source::run(*args),
        Command::Sink(args) => sink::run(args),
        Command::Zone(args) => zone::run(args),
        Command::Imap(args) => imap::run(*args),
        Command::Compare(args) => compare::run(args),
        Command::Report(args) => report::run(args),
    }
}
