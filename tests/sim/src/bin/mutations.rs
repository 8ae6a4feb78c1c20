//! `cargo mutations`: puts each deliberate bug into a copy of the sources and sees a seed catch it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use clap::Parser;
use ringmail_sim::mutations::{Mutation, list};

/// Builds the simulation with each bug of `mutations.toml`, and looks for a seed that fails.
#[derive(Parser)]
#[command(bin_name = "cargo mutations --")]
struct Arguments {
    /// Only those whose name holds one of these texts.
    filters: Vec<String>,
    /// Seeds to try for each.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
}

/// For the seeds of one mutation.
const MINUTES: &str = "5";

/// The copy of the workspace, and where it is built.
struct Bench {
    root: PathBuf,
    tree: PathBuf,
    build: PathBuf,
    /// Another run would change the copy under this one.
    _lock: File,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |mutation: &Mutation| {
        let named = |filter: &String| mutation.name.contains(filter);
        arguments.filters.is_empty() || arguments.filters.iter().any(named)
    };
    let mutations: Vec<Mutation> = list().into_iter().filter(wanted).collect();
    if mutations.is_empty() {
        eprintln!("no mutation has this in its name; tests/sim/mutations.toml lists them");
        return ExitCode::from(2);
    }
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(error) => {
            eprintln!("the sources cannot be copied below target/: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("the sources as they are: building, then {} seeds", arguments.seeds);
    // Without a bug no seed may fail, or the rest would prove nothing.
    match bench.build_and_run(arguments.seeds) {
        Ok(None) => {}
        Ok(Some(how)) => {
            println!("the sources as they are fail: {how}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            println!("the sources as they are cannot be run: {error}");
            return ExitCode::FAILURE;
        }
    }
    let (mut caught, mut missed) = (0, Vec::new());
    for mutation in mutations {
        let began = Instant::now();
        match bench.try_out(&mutation, arguments.seeds) {
            Ok(Some(how)) => {
                caught += 1;
                println!("caught  {} ({how}; {:.0?})", mutation.name, began.elapsed());
            }
            Ok(None) => {
                println!("MISSED  {}", mutation.name);
                missed.push(mutation.name);
            }
            Err(error) => {
                println!("FAULTY  {}: {error}", mutation.name);
                missed.push(mutation.name);
            }
        }
    }
    println!("{caught} caught, {} missed", missed.len());
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Bench {
    fn new() -> io::Result<Bench> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        fs::create_dir_all(root.join("target/mutations"))?;
        let lock = File::create(root.join("target/mutations/lock"))?;
        lock.try_lock().map_err(|_| io::Error::other("another `cargo mutations` runs here"))?;
        let bench = Bench {
            _lock: lock,
            tree: root.join("target/mutations/tree"),
            build: root.join("target/mutations/build"),
            root,
        };
        if bench.tree.exists() {
            // What has been moved or deleted since must not lie there any more.
            fs::remove_dir_all(&bench.tree)?;
        }
        for name in ["Cargo.toml", "Cargo.lock", "src", "tests", "benches", "loadtest"] {
            copy(&bench.root.join(name), &bench.tree.join(name))?;
        }
        Ok(bench)
    }

    /// What caught it; `None`: no seed did.
    fn try_out(&self, mutation: &Mutation, seeds: u64) -> io::Result<Option<String>> {
        let path = self.tree.join(&mutation.file);
        let good = fs::read_to_string(self.root.join(&mutation.file))?;
        fs::write(&path, mutation.applied(&good).map_err(io::Error::other)?)?;
        let result = self.build_and_run(seeds);
        fs::write(&path, good)?;
        result
    }

    fn build_and_run(&self, seeds: u64) -> io::Result<Option<String>> {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", "mutation", "--bin", "sim"])
            .args(["--package", "ringmail-sim", "--target-dir"])
            .arg(&self.build)
            .current_dir(&self.tree)
            .stderr(Stdio::piped())
            .output()?;
        if !built.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&built.stderr).into_owned()));
        }
        let ran = Command::new(self.build.join("mutation/sim"))
            .args(["--failures", "1", "--minutes", MINUTES, "--seeds", &seeds.to_string()])
            .stderr(Stdio::null())
            .output()?;
        if ran.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&ran.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let seed = lines.first().map_or("", |line| line.trim_matches(['-', ' ']));
        let end = lines.iter().position(|line| line.starts_with("again: "));
        match end.and_then(|end| lines[..end].last()) {
            Some(broken) => Ok(Some(format!("{seed}: {broken}"))),
            None => Err(io::Error::other(format!("it failed and names no seed: {said}"))),
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::copy(from, to)?;
    }
    Ok(())
}
