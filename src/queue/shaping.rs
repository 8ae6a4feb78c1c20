//! Shaping: how much one next hop may have at a time.

use crate::mail::DomainPattern;

/// One `[[site]]` of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Site {
    /// By MX host.
    pub mx: Vec<DomainPattern>,
    pub domain: Vec<DomainPattern>,
    pub shape: Shape,
}

/// What a next hop may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Connections at a time, over all cores; at least 1.
    pub connections_max: usize,
    /// Transactions on one connection, then it is closed; at least 1.
    pub messages_per_connection: u32,
}

impl Default for Shape {
    /// Postfix's `default_destination_concurrency_limit`; and a connection is used while there
    /// is mail for it, as often as most servers let it.
    fn default() -> Self {
        Self { connections_max: 20, messages_per_connection: 100 }
    }
}

impl Shape {
    /// The share of lane number `lane` of `lanes`; all shares sum up to the whole.
    pub fn lane(self, lane: u16, lanes: u16) -> Shape {
        let (lane, lanes) = (usize::from(lane), usize::from(lanes.max(1)));
        let share = self.connections_max / lanes + usize::from(lane < self.connections_max % lanes);
        Shape { connections_max: share.max(1), ..self }
    }
}
