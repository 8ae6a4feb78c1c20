//! How fast a body is searched for its end and for bare newlines.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memchr::memchr2;
use ringmail::smtp::data::{Dots, Newlines};

fn body(octets: usize, line: &str) -> Vec<u8> {
    let mut text = line.repeat(octets / line.len()).into_bytes();
    text.extend_from_slice(b"\r\n.\r\n");
    text
}

/// The other way there is: one search a line. Here for comparison.
fn by_lines(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = memchr2(b'\r', b'\n', &text[at..]) {
        at += found;
        if text[at] == b'\n' || text.get(at + 1) != Some(&b'\n') {
            return None;
        }
        if text[at..].starts_with(b"\r\n.\r\n") {
            return Some(at + 5);
        }
        at += 2;
    }
    None
}

fn dots(c: &mut Criterion) {
    let usual = format!("{}\r\n", "Lorem ipsum dolor ".repeat(4));
    for (name, octets, line) in [
        ("4 KiB", 4096, &usual[..]),
        ("64 KiB", 65_536, &usual),
        ("1 MiB", 1 << 20, &usual),
        ("4 KiB of dot lines", 4096, "..\r\n"),
    ] {
        let text = body(octets, line);
        let mut group = c.benchmark_group("dots");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let scanned = Dots::default().scan(&text);
                assert!(scanned.end.is_some());
            });
        });
        group.bench_function(format!("{name}, by lines"), |b| {
            b.iter(|| assert!(by_lines(&text).is_some()));
        });
        group.bench_function(format!("{name}, chunk"), |b| {
            b.iter(|| assert!(!Newlines::default().scan(&text)));
        });
        group.finish();
    }
}

criterion_group!(benches, dots);
criterion_main!(benches);
