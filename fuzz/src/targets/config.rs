//! Configurations: a file is taken, or every fault is told with its line.

use ringmail::{
    config::{Config, Machine},
    relay::Options,
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let machine = Machine {
        hostname: "mx.example.org".into(),
        resolv_conf: "nameserver 192.0.2.53\n".into(),
    };
    let parse = |text: &str| Config::parse(text, "f.toml", &machine);
    match parse(text) {
        Ok(config) => {
            assert_eq!(parse(&format!("{text}\n# A comment.\n")), Ok(config.clone()));
            assert!(!config.hostname.is_empty() && !config.dns.servers.is_empty());
            let options = Options::of(&config);
            assert_eq!(options.protocols.len(), config.listeners.len());
        }
        Err(error) => {
            assert!(!error.faults.is_empty(), "refused without a reason");
            let lines = text.lines().count().max(1) + 1;
            let mut last = None;
            for fault in &error.faults {
                assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
                assert!(last <= fault.line || fault.line.is_none(), "out of order: {error}");
                last = fault.line.max(last);
            }
            assert!(error.to_string().starts_with("f.toml:"), "{error}");
        }
    }
}
