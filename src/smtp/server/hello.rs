//! The peer of a session: greeting, EHLO and HELO, and what is counted against it.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes};

use super::{
    Effect, Steps,
    policy::{Options, Role},
};
use crate::smtp::{extension, line::Lines, reply::Reply};

/// What a session knows of its client from first to last.
#[derive(Debug)]
pub struct Peer {
    pub(super) client: SocketAddr,
    pub(super) role: Role,
    pub(super) lines: Lines,
    pub(super) hello: Option<Hello>,
    /// Commands refused since mail was last accepted.
    pub(super) errors: u32,
    /// Commands without mail since mail was last accepted.
    pub(super) idle_commands: u32,
}

#[derive(Debug)]
pub(super) struct Hello {
    pub(super) name: Bytes,
    /// It was EHLO.
    pub(super) extended: bool,
}

impl Peer {
    pub(super) fn greet(
        client: SocketAddr,
        role: Role,
        options: &Options,
        steps: &mut Steps,
    ) -> Self {
        let out = &mut steps.replies;
        out.put_slice(b"220 ");
        out.put_slice(options.hostname.as_bytes());
        out.put_slice(b" ESMTP Ringmail\r\n");
        let lines = Lines::default();
        Self { client, role, lines, hello: None, errors: 0, idle_commands: 0 }
    }

    pub(super) fn hello(
        &mut self,
        name: Bytes,
        extended: bool,
        options: &Options,
        steps: &mut Steps,
    ) {
        let out = &mut steps.replies;
        if extended {
            let Options { hostname, message_size_max, recipients_max, .. } = options;
            extension::advertise(hostname, *message_size_max, *recipients_max, out);
        } else {
            out.put_slice(b"250 ");
            out.put_slice(options.hostname.as_bytes());
            out.put_slice(b"\r\n");
        }
        self.hello = Some(Hello { name, extended });
        self.idle_commands += 1;
    }

    pub(super) fn hello_name(&self) -> Bytes {
        self.hello.as_ref().map(|hello| hello.name.clone()).unwrap_or_default()
    }

    pub(super) fn is_extended(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.extended)
    }

    /// Answers with a refusal, counts it and tells the log. A 4xx is our fault, but it may not be
    /// had without end either.
    pub(super) fn reject(
        &mut self,
        command: &'static str,
        reply: Reply,
        from: Option<Bytes>,
        to: Option<Bytes>,
        steps: &mut Steps,
    ) {
        reply.write(&mut steps.replies);
        if reply.is_permanent() {
            self.errors += 1;
        } else {
            self.idle_commands += 1;
        }
        let (helo, reply) = (self.hello_name(), reply.to_bytes());
        steps.effects.push(Effect::Rejected { helo, command, reply, from, to });
    }

    /// Mail was accepted: what was counted is forgiven, as a client that sends mail for days over
    /// one connection meets a bad address now and then.
    pub(super) fn forgive(&mut self) {
        self.errors = 0;
        self.idle_commands = 0;
    }
}
