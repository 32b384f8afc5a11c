//! Which service answers now: the newest that could be opened.

use std::sync::{Arc, PoisonError, RwLock};

use truepair_core::Result;

use crate::service::{Description, Service};

/// Looks whether there is a newer version, and opens it; `None` when the present one is the newest.
pub type Opener = Box<dyn FnMut() -> Result<Option<Arc<dyn Service>>> + Send>;

/// Where services come from.
pub struct Source {
    /// What answers at first.
    pub first: Arc<dyn Service>,
    /// What is asked for newer ones from time to time, if the service ever changes.
    pub reopen: Option<Opener>,
}

/// A service, and what it says of itself.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) description: Arc<Description>,
}

impl Opened {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        let description = Arc::new(service.describe());
        Self {
            service,
            description,
        }
    }
}

/// The service that answers now. Whoever got one keeps it until the answer is made.
pub(crate) struct Current(RwLock<Opened>);

impl Current {
    pub(crate) fn new(opened: Opened) -> Self {
        Self(RwLock::new(opened))
    }

    pub(crate) fn get(&self) -> Opened {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts `opened` in its place; the former one ends with its last request.
    pub(crate) fn swap(&self, opened: Opened) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *place, opened);
        drop(place);
        drop(former);
    }
}
