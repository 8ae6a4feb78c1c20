//! The bounds that the relay was given, held against what it does.

use std::net::SocketAddr;

use super::World;
use crate::{
    limits::{BODY_MEMORY_MAX, BODY_ROOM_MAX, SPOOL_IN_FLIGHT_MAX, SPOOL_THRESHOLD, WINDOW_MAX},
    oracle::{Checked, broken},
    plan::Kind,
};

impl World {
    /// No destination has more connections than its site allows.
    pub(super) fn check_connections(&self, remote: SocketAddr) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        let Some(host) = self.plan.host_at(remote.ip()) else { return Ok(()) };
        let shares = |kind: Kind| kind == Kind::Alias || kind == Kind::Routed;
        let mut theirs = self.plan.domains.iter().filter(|domain| self.plan.leads_to(domain, host));
        let (Some(domain), None) = (theirs.next(), theirs.next()) else { return Ok(()) };
        if shares(domain.kind) {
            return Ok(());
        }
        let of_domain = |at: &SocketAddr| {
            self.plan.host_at(at.ip()).is_some_and(|host| self.plan.leads_to(domain, host))
        };
        let open: usize = process
            .cores
            .iter()
            .flat_map(|core| &core.outbound)
            .filter(|(at, _)| of_domain(at))
            .map(|(_, count)| count)
            .sum();
        match open > self.plan.connections_max {
            true => broken(format!(
                "{open} connections to the hosts of {}, {} are allowed",
                domain.name, self.plan.connections_max
            )),
            false => Ok(()),
        }
    }

    /// With nothing queued and nobody there, nothing may be left in memory.
    pub(super) fn check_nothing_held(&self) -> Checked {
        for core in self.process.iter().flat_map(|process| &process.cores) {
            let census = core.relay.census();
            let octets = census.kept_octets + census.inbound_octets + census.asked_octets;
            if census.parcels + octets + census.inbound + census.outbound > 0 {
                return broken(format!("nothing is there, and a core holds {census:?}"));
            }
        }
        Ok(())
    }

    /// What a core holds is within its bounds.
    pub(super) fn check_census(&mut self, core: u16) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        let census = process.cores[usize::from(core)].relay.census();
        let share = BODY_MEMORY_MAX / process.cores.len();
        // A session may fill what it sends ahead before the common memory makes it wait.
        let session = SPOOL_IN_FLIGHT_MAX + SPOOL_THRESHOLD + BODY_ROOM_MAX;
        if census.parcels == WINDOW_MAX {
            self.coverage.count("relay: the window is full");
        }
        if census.outbound == self.plan.outbound_max {
            self.coverage.count("relay: as many connections to next hops as may be");
        }
        if census.inbound == self.plan.inbound_max {
            self.coverage.count("relay: as many clients as may be");
        }
        if census.kept_octets + census.inbound_octets > share {
            self.coverage.count("relay: memory for bodies is short");
        }
        let holds = census.parcels <= WINDOW_MAX
            && census.outbound <= self.plan.outbound_max
            && census.inbound <= self.plan.inbound_max
            && census.kept_octets <= share
            && census.inbound_octets <= share + census.inbound * session;
        match holds {
            true => Ok(()),
            false => broken(format!("core {core} is over its bounds: {census:?}")),
        }
    }
}
