//! `ringload report`: what a comparison found, as a page, as plots, and as tables.

mod bars;
mod curves;
mod drawings;
mod facts;
mod figures;
mod html;
mod markdown;
mod plot;
mod scale;
mod svg;
mod table;
mod words;

use std::{
    fs,
    io::{self, Read, Write as _},
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use crate::outcome::Comparison;
use figures::Findings;

/// A comparison of a dozen servers over many rounds is far below this.
const FILE_OCTETS_MAX: u64 = 256 << 20;

/// Renders what compare wrote: a table, unless a page, plots or Markdown are asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `ringload compare --out` wrote
    file: PathBuf,
    #[command(flatten)]
    files: Files,
}

/// The files a comparison can be rendered to.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Write one page that needs nothing else, with plots, tables and all that was configured
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each plot into this folder
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write tables as Markdown, with the plots of --svg if that is given
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot read {path}: {source}; name a file that `ringload compare --out` wrote")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} has over {FILE_OCTETS_MAX} octets, more than any comparison; name another")]
    TooLarge { path: PathBuf },
    #[error(
        "{path} is not what `ringload compare --out` writes ({source}); name a file that it wrote"
    )]
    NoComparison { path: PathBuf, source: serde_json::Error },
    #[error("cannot write {path}: {source}; name a place that can be written to")]
    Write { path: PathBuf, source: io::Error },
}

pub fn run(args: Args) -> ExitCode {
    match render(&args).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One page that needs no other file and no network.
pub fn html(comparison: &Comparison) -> String {
    html::page(&Findings::of(comparison))
}

/// Tables and plots; `plots` is the folder of the SVGs as seen from the text. Empty: no plots.
pub fn markdown(comparison: &Comparison, plots: &str) -> String {
    markdown::text(&Findings::of(comparison), plots)
}

/// The plots for which there are figures, each with the name of its file.
pub fn svgs(comparison: &Comparison) -> Vec<(String, String)> {
    let found = Findings::of(comparison);
    drawings::drawings(&found)
        .iter()
        .filter_map(|drawing| {
            let svg = drawing.views.first()?.draw(drawings::WIDE, true);
            Some((format!("{}.svg", drawing.name), svg.file(&drawing.title)))
        })
        .collect()
}

/// Aligned columns for a terminal.
pub fn table(comparison: &Comparison) -> String {
    table::text(&Findings::of(comparison))
}

/// Writes what is asked for; gives back what is to be printed.
fn render(args: &Args) -> Result<String, ReportError> {
    let comparison = read(&args.file)?;
    let written = publish(&comparison, &args.files)?;
    Ok(if written.is_empty() { table(&comparison) } else { written })
}

/// Writes the files; says which, a line each.
pub fn publish(comparison: &Comparison, files: &Files) -> Result<String, ReportError> {
    let mut written = String::new();
    if let Some(path) = &files.html {
        write(path, &html(comparison), &mut written)?;
    }
    if let Some(folder) = &files.svg {
        let failed = |source| ReportError::Write { path: folder.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        for (name, svg) in svgs(comparison) {
            write(&folder.join(name), &svg, &mut written)?;
        }
    }
    if let Some(path) = &files.markdown {
        let plots = files.svg.as_deref().map_or(String::new(), |folder| seen_from(path, folder));
        write(path, &markdown(comparison, &plots), &mut written)?;
    }
    Ok(written)
}

/// A reader that has seen enough, such as `head`, is no fault.
fn print(text: &str) -> Result<(), ReportError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ReportError::Write { path: "the standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Comparison, ReportError> {
    let failed = |source| ReportError::Read { path: path.into(), source };
    let mut octets = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > FILE_OCTETS_MAX {
        return Err(ReportError::TooLarge { path: path.into() });
    }
    serde_json::from_slice(&octets)
        .map_err(|source| ReportError::NoComparison { path: path.into(), source })
}

fn write(path: &Path, text: &str, written: &mut String) -> Result<(), ReportError> {
    fs::write(path, text).map_err(|source| ReportError::Write { path: path.into(), source })?;
    written.push_str(&format!("wrote {}\n", path.display()));
    Ok(())
}

/// The folder as a link in the file must name it.
fn seen_from(file: &Path, folder: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    let (file, folder) = (absolute(file), absolute(folder));
    let home: Vec<Component> = file.parent().map_or(vec![], |home| home.components().collect());
    let there: Vec<Component> = folder.components().collect();
    let shared = home.iter().zip(&there).take_while(|(one, other)| one == other).count();
    let up = home.iter().skip(shared).map(|_| "..".into());
    let down = there.iter().skip(shared).map(|part| part.as_os_str().to_string_lossy());
    let parts: Vec<_> = up.chain(down).collect();
    if parts.is_empty() { ".".into() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_text_to_the_plots() {
        let cases = [
            ("/a/docs/BENCHMARKS.md", "/a/docs/plots", "plots"),
            ("/a/docs/BENCHMARKS.md", "/a/docs", "."),
            ("/a/docs/BENCHMARKS.md", "/a/plots/new", "../plots/new"),
            ("b.md", "plots", "plots"),
        ];
        for (file, folder, link) in cases {
            assert_eq!(seen_from(Path::new(file), Path::new(folder)), link);
        }
    }
}
