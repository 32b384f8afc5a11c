//! How a server behaves: limits, times, who may ask. And the clock, which the program brings.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use truepair_core::{Error, Result};

/// Time since any fixed moment, never running backward.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Told what happens to the server.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// What happens to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Requests are answered at this address from now on.
    Listening(SocketAddr),
    /// Another version of the index answers from now on.
    Swapped {
        /// Its version.
        version: String,
    },
    /// A new version could not be opened; the old one goes on answering.
    SwapFailed {
        /// Why.
        message: String,
    },
    /// No new requests are taken; so many connections are still open.
    Stopping {
        /// Open connections.
        connections: usize,
    },
}

/// How a server behaves. Begin with [`ServerSettings::new`] and change what should differ.
#[derive(Clone)]
pub struct ServerSettings {
    /// What requests must bring as `Authorization: Bearer`. Without one only loopback addresses are served.
    pub token: Option<String>,
    /// Names, with or without a port, that the server goes by besides its addresses.
    pub hosts: Vec<String>,
    /// Largest body in bytes, and longest line of a stream.
    pub max_body: usize,
    /// Bytes of bodies held in memory at once, over all requests.
    pub max_held: usize,
    /// Most hits of a query.
    pub max_top: usize,
    /// Most queries of a request, and of a batch that the service is given.
    pub max_batch: usize,
    /// Most queries that wait or are being answered; more are told to come again.
    pub max_queued: usize,
    /// Most characters of a text or filter.
    pub max_text: usize,
    /// Most connections at once.
    pub max_connections: usize,
    /// How often one client may ask.
    pub rate: Option<Rate>,
    /// How long a query waits for others to be answered with.
    pub batch_window: Duration,
    /// Batches that the service answers side by side.
    pub workers: usize,
    /// How long the head of a request may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may take, and a line of a stream may be awaited.
    pub body_timeout: Duration,
    /// How long a client may leave bytes unread that are sent to it.
    pub write_timeout: Duration,
    /// How long requests in flight may take once the server is asked to end.
    pub grace: Duration,
    /// How often it is asked whether there is a new version.
    pub poll: Duration,
    /// Bytes of thumbnails that are kept.
    pub thumbnail_bytes: usize,
    /// Where the time comes from.
    pub clock: Clock,
    /// Told what happens.
    pub listener: Listener,
}

/// A client's budget of queries: full at first, filled again as time goes by. Items and pictures have one of their own,
/// 50 times as large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Queries a second.
    pub per_second: f64,
    /// Queries at once, at least 1.
    pub burst: f64,
}

impl ServerSettings {
    /// Limits for a machine with a few cores, on loopback, nothing told to anybody.
    pub fn new(clock: Clock) -> Self {
        Self {
            token: None,
            hosts: Vec::new(),
            max_body: 16 << 20,
            max_held: 256 << 20,
            max_top: 1000,
            max_batch: 256,
            max_queued: 4096,
            max_text: 4096,
            max_connections: 4096,
            rate: None,
            batch_window: Duration::from_millis(2),
            workers: 2,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(20),
            poll: Duration::from_secs(1),
            thumbnail_bytes: 64 << 20,
            clock,
            listener: Arc::new(|_| {}),
        }
    }

    /// Checks the settings for the address that is to be served.
    ///
    /// # Errors
    /// When the address is reachable from elsewhere and there is no token, or a number makes no sense.
    pub fn check(&self, address: SocketAddr) -> Result<()> {
        if self.token.is_none() && !address.ip().is_loopback() {
            return Err(Error::argument(
                format!("{address} can be reached from other machines, and there is no token"),
                "give a token, or serve 127.0.0.1 only",
            ));
        }
        if let Some(token) = &self.token
            && (token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Error::argument(
                "a token has at least 16 printable ASCII characters and no spaces",
                "make one at random, such as 32 hexadecimal digits",
            ));
        }
        let counts = [
            ("max_body", self.max_body),
            ("max_top", self.max_top),
            ("max_batch", self.max_batch),
            ("max_text", self.max_text),
            ("max_connections", self.max_connections),
            ("workers", self.workers),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(format!("{name} is 0"), "give at least 1"));
        }
        if self.max_queued < self.max_batch || self.max_held < self.max_body {
            return Err(Error::argument(
                "max_queued is below max_batch, or max_held below max_body",
                "what one request may bring must fit into what all may",
            ));
        }
        match self.rate {
            Some(rate) if !(rate.per_second > 0.0 && rate.burst >= 1.0) => Err(Error::argument(
                "a rate has more than 0 queries a second and a burst of at least 1",
                "leave the rate out for none",
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ServerSettings {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("hosts", &self.hosts)
            .field("max_body", &self.max_body)
            .field("max_batch", &self.max_batch)
            .finish_non_exhaustive()
    }
}
