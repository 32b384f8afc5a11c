//! The server from its first connection to its last answer.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use truepair_core::{Error, Result};

use crate::connection::{converse, turn_away};
use crate::current::{Current, Opened, Opener, Source};
use crate::route::router;
use crate::settings::{Event, ServerSettings};
use crate::state::{Ends, Shared};

/// How often it is asked whether the server is to end.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How long to wait when the system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens at an address such as `127.0.0.1:8000` or `localhost:8000`; port 0 takes any that is free.
///
/// # Errors
/// When the settings do not allow the address (see [`ServerSettings::check`]), or it is no address or taken.
pub fn bind(address: &str, settings: &ServerSettings) -> Result<TcpListener> {
    let cannot = |error: std::io::Error| {
        Error::argument(
            format!("cannot listen at {address}: {error}"),
            "give HOST:PORT of this machine with a free port, such as 127.0.0.1:8000",
        )
    };
    let found: Vec<SocketAddr> = address.to_socket_addrs().map_err(cannot)?.collect();
    for one in &found {
        settings.check(*one)?;
    }
    TcpListener::bind(found.as_slice()).map_err(cannot)
}

/// Answers requests at `listener` until `is_stopped`, which is asked every 50 ms. Blocks; the runtime stays inside.
///
/// # Errors
/// When the settings do not allow the address (see [`ServerSettings::check`]), or the system gives no threads.
pub fn serve(
    listener: TcpListener,
    source: Source,
    settings: ServerSettings,
    is_stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let address = listener.local_addr().map_err(no_network)?;
    settings.check(address)?;
    let runtime = runtime(&settings)?;
    runtime.block_on(run(listener, address, source, settings, is_stopped))?;
    // Work of the service that nobody waits for any more.
    runtime.shutdown_background();
    Ok(())
}

fn runtime(settings: &ServerSettings) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(settings.workers.clamp(1, 8))
        // Batches of three lanes share the workers; items and pictures have twice as many; one looks for versions.
        .max_blocking_threads(settings.workers * 3 + 2)
        .thread_name("truepair-serve")
        .enable_all()
        .build()
        .map_err(no_network)
}

fn no_network(error: std::io::Error) -> Error {
    Error::argument(
        format!("the system gives no threads or no network: {error}"),
        "end other programs, or raise the limits of this one",
    )
}

async fn run(
    listener: TcpListener,
    address: SocketAddr,
    source: Source,
    settings: ServerSettings,
    is_stopped: &dyn Fn() -> bool,
) -> Result<()> {
    listener.set_nonblocking(true).map_err(no_network)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(no_network)?;
    let (stop, is_stopping) = watch::channel(false);
    let current = Current::new(Opened::new(source.first));
    let shared = Arc::new(Shared::new(settings, current, is_stopping));
    if let Some(reopen) = source.reopen {
        tokio::spawn(follow(reopen, Arc::clone(&shared)));
    }
    let tell = Arc::clone(&shared.settings.listener);
    tell(&Event::Listening(address));
    let mut connections = accept(listener, &shared, is_stopped).await;
    tell(&Event::Stopping {
        connections: connections.len(),
    });
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Whoever is not done by then is cut off.
    let _ = timeout(shared.settings.grace, ended).await;
    connections.abort_all();
    Ok(())
}

/// Takes connections until the server is to end; gives back those that are open. The listener is closed then.
async fn accept(
    listener: tokio::net::TcpListener,
    shared: &Arc<Shared>,
    is_stopped: &dyn Fn() -> bool,
) -> JoinSet<()> {
    let router = router(Arc::clone(shared));
    let places = Arc::new(Semaphore::new(shared.settings.max_connections));
    let mut connections = JoinSet::new();
    let mut poll = interval(STOP_POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = poll.tick() => if is_stopped() {
                return connections;
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => {
                    welcome(stream, remote, &router, shared, &places, &mut connections);
                }
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
}

fn welcome(
    stream: TcpStream,
    remote: SocketAddr,
    router: &Router,
    shared: &Arc<Shared>,
    places: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
) {
    // A client that is gone already has no address.
    let Ok(local) = stream.local_addr() else {
        return;
    };
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => {
            let (router, shared) = (router.clone(), Arc::clone(shared));
            connections.spawn(async move {
                converse(stream, Ends { local, remote }, router, shared).await;
                drop(place);
            });
        }
        Err(_) => {
            let refused = &shared.metrics.refused_connections;
            refused.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(turn_away(stream));
        }
    }
}

/// Looks for newer versions from time to time, and puts them in place.
async fn follow(mut reopen: Opener, shared: Arc<Shared>) {
    let mut said = None;
    loop {
        sleep(shared.settings.poll).await;
        let looked = spawn_blocking(move || {
            let opened = reopen().map(|service| service.map(Opened::new));
            (reopen, opened)
        });
        // An opener that panics is not asked again; what is open goes on.
        let Ok((back, opened)) = looked.await else {
            tell_failure(&shared, "it panicked, and is not asked again".to_owned());
            return;
        };
        reopen = back;
        match opened {
            Ok(None) => {}
            Ok(Some(opened)) => {
                let version = opened.description.version.clone();
                shared.current.swap(opened);
                shared.metrics.swaps.fetch_add(1, Ordering::Relaxed);
                (shared.settings.listener)(&Event::Swapped { version });
                said = None;
            }
            Err(error) => {
                let message = error.to_string();
                // Told once, not each second.
                if said.as_ref() != Some(&message) {
                    tell_failure(&shared, message.clone());
                    said = Some(message);
                }
            }
        }
    }
}

fn tell_failure(shared: &Shared, message: String) {
    shared.metrics.swap_failures.fetch_add(1, Ordering::Relaxed);
    (shared.settings.listener)(&Event::SwapFailed { message });
}
