//! The MX cache: a hit for one of 100,000 domains, from the domain to its ordered hosts.

use std::{hint::black_box, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use ringmail::{
    dns::{Lookup, NextHop, Options, Query, Resolver, Setup},
    mail::Domain,
    random::Random,
    time::{Duration, Now},
};

const DOMAINS: usize = 100_000;

fn hit(criterion: &mut Criterion) {
    let now = Now::default();
    let mut resolver = resolver();
    let hops: Vec<NextHop> = (0..DOMAINS)
        .map(|n| NextHop::Mx(Domain::Name(format!("domain{n}.example").into())))
        .collect();
    let mut out = Vec::new();
    for hop in &hops {
        assert_eq!(resolver.look_up(hop, now, &mut out), Lookup::Pending);
        while let Some(query) = out.pop() {
            resolver.answer(query.key, Ok(reply(&query)), now, &mut out);
        }
    }
    let mut random = Random::from_seed([2; 32]);
    criterion.bench_function("mx_cache/hit", |bencher| {
        bencher.iter(|| {
            let hop = &hops[random.below(DOMAINS as u32) as usize];
            match resolver.look_up(black_box(hop), now, &mut out) {
                Lookup::Found(hosts) => black_box(hosts),
                other => panic!("{other:?}"),
            }
        });
    });
}

fn resolver() -> Resolver {
    Resolver::new(Setup {
        options: Options {
            servers: vec![SocketAddr::from(([127, 0, 0, 1], 53))],
            timeout: Duration::from_secs(2),
            cache_entries_max: 1_000_000,
            ttl_min: Duration::from_secs(5),
            ttl_max: Duration::from_secs(86_400),
            negative_ttl_max: Duration::from_secs(900),
            serve_stale: Duration::from_secs(86_400),
        },
        hostname: "relay.example".into(),
        own_addresses: vec![SocketAddr::from(([192, 0, 2, 1], 25))],
        routes: Arc::new([]),
        port: 25,
        random: Random::from_seed([1; 32]),
    })
}

/// Each domain has two MX, `a` and `b` below it, with one address of each family.
fn reply(query: &Query) -> Bytes {
    let without_edns = query.message.len() - 11;
    let mut out = query.message[..without_edns].to_vec();
    let kind = out[without_edns - 3];
    let records: &[&[u8]] = match kind {
        15 => &[&[0, 10, 1, b'a', 0xc0, 12], &[0, 10, 1, b'b', 0xc0, 12]],
        1 => &[&[192, 0, 2, 7]],
        _ => &[&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]],
    };
    (out[2], out[3], out[7], out[11]) = (0x81, 0x80, records.len() as u8, 0);
    for data in records {
        out.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 14, 16, 0, data.len() as u8]);
        out.extend_from_slice(data);
    }
    out.into()
}

criterion_group!(benches, hit);
criterion_main!(benches);
