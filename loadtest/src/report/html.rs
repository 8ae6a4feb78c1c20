//! The page: headline, plots and tables, and all that is needed to measure the same again.

use std::fmt::Write as _;

use super::{
    drawings::{Drawing, NARROW, WIDE, drawings},
    facts::{conditions, machine, method},
    figures::{Figures, Findings, GROUPS, Group, Metric, Rank, Spread, ratio},
    svg::{PALETTE, escape},
    words::{self, count, micros},
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Of the troubles that a server's rounds met, this many are listed.
const TROUBLES_MAX: usize = 20;

pub fn page(found: &Findings) -> String {
    let headline = escape(&words::headline(found));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{headline}</title>\n<style>\n{PALETTE}{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    put_header(&mut page, found, &headline);
    let drawings = drawings(found);
    let (first, others) = drawings.split_at(drawings.len().min(1));
    first.iter().for_each(|drawing| put_drawing(&mut page, drawing));
    put_summary(&mut page, found);
    others.iter().for_each(|drawing| put_drawing(&mut page, drawing));
    put_imap(&mut page, found);
    put_facts(&mut page, "The machine", &machine(&found.comparison.machine));
    put_facts(&mut page, "How it was measured", &method(found));
    put_notes(&mut page, found);
    put_servers(&mut page, found);
    let _ = write!(page, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

fn put_header(page: &mut String, found: &Findings, headline: &str) {
    let _ = write!(page, "<header>\n<h1>{headline}</h1>\n");
    if let Some(ceiling) = words::ceiling(found) {
        let _ = writeln!(page, "<p class=\"lead\">{}</p>", escape(&ceiling));
    }
    let cautions = words::cautions(found);
    if !cautions.is_empty() {
        page.push_str("<ul class=\"cautions\">\n");
        for caution in cautions {
            let _ = writeln!(page, "<li>{}</li>", escape(&caution));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<dl class=\"conditions\">\n");
    for (name, value) in conditions(found) {
        let _ = writeln!(page, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    page.push_str("</dl>\n</header>\n");
}

/// Both sizes of each view; the style shows one size, and the reader's choice of view.
fn put_drawing(page: &mut String, drawing: &Drawing) {
    let Drawing { name, title, caption, views } = drawing;
    let (title, caption) = (escape(title), escape(caption));
    let _ = write!(page, "<section class=\"drawing\">\n<h2>{title}</h2>\n<p>{caption}</p>\n");
    if views.len() > 1 {
        for (index, view) in views.iter().enumerate() {
            let checked = if index == 0 { " checked" } else { "" };
            let _ = writeln!(
                page,
                "<input type=\"radio\" name=\"{name}\" id=\"{name}-{index}\"{checked}>\
                 <label for=\"{name}-{index}\">{}</label>",
                view.label
            );
        }
    }
    for view in views {
        let _ = write!(
            page,
            "<figure>\n{}{}</figure>\n",
            view.draw(WIDE, false).inline("wide", &drawing.title),
            view.draw(NARROW, false).inline("narrow", &drawing.title)
        );
    }
    page.push_str("</section>\n");
}

fn put_summary(page: &mut String, found: &Findings) {
    let servers: Vec<&Figures> = found.lines().collect();
    if servers.is_empty() {
        return;
    }
    page.push_str(
        "<section>\n<h2>In numbers</h2>\n<p>Medians over the rounds. Below each figure, how many \
         times that of the first server it is; the best of each line is bold.</p>\n\
         <div class=\"scroll\">\n<table class=\"summary\">\n<thead>\n<tr><td></td>",
    );
    for server in &servers {
        let (class, name) = (server.mark.class(), escape(server.name()));
        let _ = write!(page, "<th scope=\"col\"><i class=\"{class}\"></i>{name}</th>");
    }
    page.push_str("</tr>\n</thead>\n<tbody class=\"words\">\n");
    put_words(page, "Version", &servers, |server| escape(&server.server.version));
    put_words(page, "Its 250 promises", &servers, |server| match server.failure() {
        Some(reason) => {
            format!("<b class=\"fault\">Failed: {}</b>", escape(words::first_line(reason)))
        }
        None => escape(&server.server.promise),
    });
    page.push_str("</tbody>\n");
    for group in GROUPS {
        put_group(page, found, &servers, group);
    }
    page.push_str("</table>\n</div>\n</section>\n");
}

fn put_words(page: &mut String, name: &str, servers: &[&Figures], cell: fn(&Figures) -> String) {
    let _ = write!(page, "<tr><th scope=\"row\">{name}</th>");
    for server in servers {
        let _ = write!(page, "<td>{}</td>", cell(server));
    }
    page.push_str("</tr>\n");
}

fn put_group(page: &mut String, found: &Findings, servers: &[&Figures], group: Group) {
    let known = |metric: &&Metric| servers.iter().any(|server| (metric.figure)(server).is_some());
    let metrics: Vec<&Metric> = group.metrics().filter(known).collect();
    if metrics.is_empty() {
        return;
    }
    let title = group.title(found.load);
    let columns = servers.len() + 1;
    let _ = write!(
        page,
        "<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\" \
         colspan=\"{columns}\">{title}</th></tr>\n"
    );
    for metric in metrics {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", metric.name);
        let figures = found.relays.iter().filter_map(metric.figure).map(|spread| spread.median);
        let best = match metric.rank {
            Rank::More => figures.fold(0.0, f64::max),
            Rank::Less => figures.fold(f64::INFINITY, f64::min),
            // To lose nothing is no merit: no cell is marked.
            Rank::Fault => f64::NAN,
        };
        let base = found.relays.first().and_then(metric.figure).map(|first| first.median);
        for server in servers {
            put_cell(page, metric, (metric.figure)(server), base, best);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n");
}

fn put_cell(
    page: &mut String,
    metric: &Metric,
    figure: Option<&Spread>,
    base: Option<f64>,
    best: f64,
) {
    let Some(figure) = figure else {
        page.push_str("<td class=\"none\">–</td>");
        return;
    };
    let class = match metric.rank {
        Rank::Fault if figure.median > 0.0 => "fault",
        _ if figure.median == best => "best",
        _ => "",
    };
    let [median, least, most] =
        [figure.median, figure.least, figure.most].map(|value| escape(&(metric.show)(value)));
    let _ = write!(page, "<td class=\"{class}\"><span>{median}</span>");
    if metric.group == Group::Throughput && figure.rounds.len() > 1 {
        let _ = write!(page, "<small>{least} – {most}</small>");
    }
    let ratio = base.and_then(|base| ratio(figure.median, base));
    if let Some(ratio) = ratio.filter(|_| metric.rank != Rank::Fault) {
        let _ = write!(page, "<small>{}</small>", words::times(ratio));
    }
    page.push_str("</td>");
}

fn put_imap(page: &mut String, found: &Findings) {
    if found.mailboxes.is_empty() {
        return;
    }
    let promises: Vec<_> = found.mailboxes.iter().map(promise).collect();
    put_facts(page, "What each OK promises", &promises);
    page.push_str(
        "<section>\n<h2>IMAP in numbers</h2>\n<div class=\"scroll\">\n<table class=\"imap\">\n\
         <thead>\n<tr>\
         <th>server</th><th>command</th><th>a second</th><th>p50</th><th>p99</th><th>p99.9</th>\
         <th>CPU</th><th>errors</th></tr>\n</thead>\n<tbody>\n",
    );
    for figures in &found.mailboxes {
        for command in &figures.server.imap {
            let latency = &command.latency;
            let cells = [
                count(command.rate.round()),
                micros(latency.p50_us),
                micros(latency.p99_us),
                micros(latency.p99_9_us),
                micros(command.cpu_us),
                count(command.errors as f64),
            ];
            let names = [figures.name(), &command.name].map(escape);
            let _ = write!(page, "<tr><th>{}</th><th>{}</th>", names[0], names[1]);
            let _ = writeln!(page, "<td>{}</td></tr>", cells.join("</td><td>"));
        }
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn promise(figures: &Figures) -> (String, String) {
    let promise = match &figures.server.failed {
        Some(reason) => format!("Failed: {}", words::first_line(reason)),
        None => figures.server.promise.clone(),
    };
    (format!("{} {}", figures.name(), figures.server.version), promise)
}

fn put_facts(page: &mut String, title: &str, facts: &[(String, String)]) {
    let _ = write!(page, "<section>\n<h2>{title}</h2>\n<dl class=\"facts\">\n");
    for (name, value) in facts {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    page.push_str("</dl>\n</section>\n");
}

fn put_notes(page: &mut String, found: &Findings) {
    if found.comparison.notes.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Notes</h2>\n<ul>\n");
    for note in &found.comparison.notes {
        let _ = writeln!(page, "<li>{}</li>", escape(note));
    }
    page.push_str("</ul>\n</section>\n");
}

/// What ran, exactly, folded away.
fn put_servers(page: &mut String, found: &Findings) {
    let _ = write!(
        page,
        "<section>\n<h2>To repeat it</h2>\n<pre>{}</pre>\n",
        escape(&words::shell(&found.comparison.command))
    );
    for figures in found.all() {
        let server = figures.server;
        let name = escape(&server.name);
        let _ = write!(
            page,
            "<details>\n<summary>{name} <small>{}</small></summary>\n",
            escape(&server.version)
        );
        if let Some(reason) = &server.failed {
            let _ = write!(page, "<h3>Why it failed</h3>\n<pre>{}</pre>\n", escape(reason));
        }
        let commands: Vec<String> =
            server.commands.iter().map(|words| words::shell(words)).collect();
        if !commands.is_empty() {
            let commands = escape(&commands.join("\n"));
            let _ = write!(page, "<h3>Commands</h3>\n<pre>{commands}</pre>\n");
        }
        put_troubles(page, figures);
        for (file, text) in &server.files {
            let _ = write!(page, "<h3>{}</h3>\n<pre>{}</pre>\n", escape(file), escape(text));
        }
        page.push_str("</details>\n");
    }
    page.push_str("</section>\n");
}

fn put_troubles(page: &mut String, figures: &Figures) {
    let rounds = figures.server.closed.iter().chain(&figures.server.open);
    let commands = figures.server.imap.iter().flat_map(|command| &command.troubles);
    let mut troubles: Vec<(&str, u64)> = Vec::new();
    for trouble in rounds.flat_map(|round| &round.errors).chain(commands) {
        match troubles.iter_mut().find(|(text, _)| *text == trouble.text) {
            Some((_, count)) => *count = count.saturating_add(trouble.count),
            None => troubles.push((&trouble.text, trouble.count)),
        }
    }
    troubles.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if troubles.is_empty() {
        return;
    }
    page.push_str("<h3>Errors met</h3>\n<ul>\n");
    for (text, times) in troubles.iter().take(TROUBLES_MAX) {
        let _ = writeln!(page, "<li>{} times: {}</li>", count(*times as f64), escape(text));
    }
    page.push_str("</ul>\n");
}
