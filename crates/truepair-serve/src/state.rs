//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::body::Memory;
use crate::current::Current;
use crate::lane::{Lane, Yard};
use crate::metrics::Metrics;
use crate::rate::Budgets;
use crate::settings::{Rate, ServerSettings};
use crate::task::{Embed, Score, Search};
use crate::thumbnails::Thumbnails;

/// Items and pictures that may be looked at for each question: the page shows that many hits, and some more.
const LOOKS: f64 = 50.0;

/// The two ends of the connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The server's address, as the client reached it.
    pub(crate) local: SocketAddr,
    /// The client's.
    pub(crate) remote: SocketAddr,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) settings: ServerSettings,
    pub(crate) current: Arc<Current>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) search: Lane<Search>,
    pub(crate) embed: Lane<Embed>,
    pub(crate) score: Lane<Score>,
    pub(crate) memory: Memory,
    /// Of questions.
    pub(crate) budgets: Budgets,
    /// Of items and pictures.
    pub(crate) looks: Budgets,
    pub(crate) thumbnails: Thumbnails,
    /// A permit for each item or picture that is being looked up.
    pub(crate) lookups: Semaphore,
    /// A permit for each query that may wait.
    pub(crate) room: Arc<Semaphore>,
    /// Whether the server is about to end.
    pub(crate) is_stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Starts the lanes; needs a runtime.
    pub(crate) fn new(
        settings: ServerSettings,
        current: Current,
        is_stopping: watch::Receiver<bool>,
    ) -> Self {
        let yard = Yard {
            current: Arc::new(current),
            room: Arc::new(Semaphore::new(settings.max_queued)),
            workers: Arc::new(Semaphore::new(settings.workers)),
            window: settings.batch_window,
            max_batch: settings.max_batch,
            metrics: Arc::default(),
        };
        Self {
            current: Arc::clone(&yard.current),
            metrics: Arc::clone(&yard.metrics),
            room: Arc::clone(&yard.room),
            search: Lane::start(yard.clone()),
            embed: Lane::start(yard.clone()),
            score: Lane::start(yard),
            memory: Memory::new(settings.max_held),
            budgets: Budgets::new(settings.rate, Arc::clone(&settings.clock)),
            looks: Budgets::new(settings.rate.map(looks), Arc::clone(&settings.clock)),
            thumbnails: Thumbnails::new(settings.thumbnail_bytes),
            lookups: Semaphore::new(settings.workers * 2),
            is_stopping,
            settings,
        }
    }

    /// Queries that have no answer yet.
    pub(crate) fn waiting(&self) -> usize {
        self.settings
            .max_queued
            .saturating_sub(self.room.available_permits())
    }
}

fn looks(rate: Rate) -> Rate {
    Rate {
        per_second: LOOKS * rate.per_second,
        burst: LOOKS * rate.burst,
    }
}
