//! How often one client may ask: a budget for each address, filled again as time goes by.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::settings::{Clock, Rate};

/// Clients that are remembered at most; those with a full budget need not be.
const CLIENTS: usize = 65_536;

/// Budgets by client.
pub(crate) struct Budgets {
    rate: Option<Rate>,
    clock: Clock,
    clients: Mutex<HashMap<IpAddr, Budget>>,
}

struct Budget {
    left: f64,
    at: Duration,
}

impl Budgets {
    pub(crate) fn new(rate: Option<Rate>, clock: Clock) -> Self {
        Self {
            rate,
            clock,
            clients: Mutex::default(),
        }
    }

    /// Takes `cost` queries out of a client's budget, which may go below zero once; how long to wait when there is less
    /// than one query in it.
    pub(crate) fn take(&self, client: IpAddr, cost: f64) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = (self.clock)();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS {
            clients.retain(|_, budget| budget.filled(rate, now) < rate.burst);
            if clients.len() >= CLIENTS {
                // So many clients at once are no clients: all begin anew rather than one being let in for free.
                clients.clear();
            }
        }
        let budget = clients.entry(network(client)).or_insert(Budget {
            left: rate.burst,
            at: now,
        });
        let left = budget.filled(rate, now);
        if left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - left) / rate.per_second));
        }
        *budget = Budget {
            left: left - cost,
            at: now,
        };
        Ok(())
    }
}

impl Budget {
    fn filled(&self, rate: Rate, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.left + passed * rate.per_second).min(rate.burst)
    }
}

/// The address that stands for a client: whoever has an IPv6 address has the 2^64 beside it too.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_budget_runs_out_and_fills_again_for_each_client() {
        let millis = Arc::new(AtomicU64::new(0));
        let clock = {
            let millis = Arc::clone(&millis);
            Arc::new(move || Duration::from_millis(millis.load(Ordering::Relaxed)))
        };
        let rate = Rate {
            per_second: 2.0,
            burst: 3.0,
        };
        let budgets = Budgets::new(Some(rate), clock);
        let client: IpAddr = "10.0.0.1".parse().unwrap();
        assert!((0..3).all(|_| budgets.take(client, 1.0).is_ok()));
        assert_eq!(budgets.take(client, 1.0), Err(Duration::from_millis(500)));
        assert!(budgets.take("10.0.0.2".parse().unwrap(), 1.0).is_ok());
        millis.store(500, Ordering::Relaxed);
        // A large request is let in with one query left, and paid for afterwards.
        assert!(budgets.take(client, 5.0).is_ok());
        assert_eq!(budgets.take(client, 1.0), Err(Duration::from_millis(2500)));
    }

    #[test]
    fn neighbors_in_one_ipv6_network_are_one_client() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("2001:db8::1"), network_of("2001:db8::ffff:2"));
        assert_ne!(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"));
        assert_eq!(network_of("::ffff:10.0.0.1"), network_of("10.0.0.1"));
    }
}
