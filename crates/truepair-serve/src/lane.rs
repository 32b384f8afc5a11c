//! Questions that arrive together are answered together: one lane for each task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::sleep;

use crate::body::Hold;
use crate::current::Current;
use crate::metrics::Metrics;
use crate::refusal::{Reason, Refusal};
use crate::task::Task;

/// One result for each input.
pub(crate) type Results<T> = Vec<Result<<T as Task>::Output, Refusal>>;

/// What lanes have in common.
#[derive(Clone)]
pub(crate) struct Yard {
    /// Who answers.
    pub(crate) current: Arc<Current>,
    /// A permit for each input that waits or is being answered.
    pub(crate) room: Arc<Semaphore>,
    /// A permit for each batch that is being answered.
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) window: Duration,
    pub(crate) max_batch: usize,
    pub(crate) metrics: Arc<Metrics>,
}

/// Takes questions of one task.
pub(crate) struct Lane<T: Task> {
    jobs: mpsc::UnboundedSender<Job<T>>,
    room: Arc<Semaphore>,
}

struct Job<T: Task> {
    inputs: Vec<T::Input>,
    reply: oneshot::Sender<Results<T>>,
    /// Given back once the inputs are gone.
    _room: OwnedSemaphorePermit,
    _hold: Hold,
}

impl<T: Task> Lane<T> {
    /// Starts a lane on the present runtime; it ends with the last handle.
    pub(crate) fn start(yard: Yard) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let room = Arc::clone(&yard.room);
        tokio::spawn(dispatch::<T>(queue, yard));
        Self { jobs, room }
    }

    /// Asks, or refuses when too many wait already.
    pub(crate) fn ask(
        &self,
        inputs: Vec<T::Input>,
        hold: Hold,
    ) -> Result<oneshot::Receiver<Results<T>>, Refusal> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(count(&inputs));
        let room = room.map_err(|_| {
            Refusal::new(
                Reason::Busy,
                "as many queries wait as the server takes",
                "ask again in a moment",
            )
        })?;
        self.send(inputs, hold, room)
    }

    /// Asks once there is room.
    pub(crate) async fn ask_in_turn(
        &self,
        inputs: Vec<T::Input>,
        hold: Hold,
    ) -> Result<oneshot::Receiver<Results<T>>, Refusal> {
        let room = Arc::clone(&self.room).acquire_many_owned(count(&inputs));
        let room = room.await.map_err(|_| ending())?;
        self.send(inputs, hold, room)
    }

    fn send(
        &self,
        inputs: Vec<T::Input>,
        hold: Hold,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Results<T>>, Refusal> {
        let (reply, results) = oneshot::channel();
        let job = Job {
            inputs,
            reply,
            _room: room,
            _hold: hold,
        };
        self.jobs.send(job).map_err(|_| ending())?;
        Ok(results)
    }
}

fn count<I>(inputs: &[I]) -> u32 {
    u32::try_from(inputs.len()).unwrap_or(u32::MAX)
}

/// What is said when the lanes are gone.
pub(crate) fn ending() -> Refusal {
    Refusal::new(
        Reason::Busy,
        "the server is about to end",
        "ask again once it is back",
    )
}

/// Gathers jobs to batches: those that come within the window, and those that come while no worker is free.
async fn dispatch<T: Task>(mut queue: mpsc::UnboundedReceiver<Job<T>>, yard: Yard) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(job) => job,
            None => match queue.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        let mut n_inputs = first.inputs.len();
        let mut batch = vec![first];
        let window = sleep(yard.window);
        let worker = Arc::clone(&yard.workers).acquire_owned();
        // Until the window is over and a worker is free.
        let ready = async {
            window.await;
            worker.await
        };
        tokio::pin!(ready);
        let worker = loop {
            let is_full = left_over.is_some() || n_inputs >= yard.max_batch;
            tokio::select! {
                worker = &mut ready => break worker,
                Some(job) = queue.recv(), if !is_full => {
                    if n_inputs + job.inputs.len() > yard.max_batch {
                        left_over = Some(job);
                    } else {
                        n_inputs += job.inputs.len();
                        batch.push(job);
                    }
                }
            }
        };
        let Ok(worker) = worker else { return };
        tokio::spawn(answer(batch, yard.clone(), worker));
    }
}

/// Answers a batch and sends every asker its share.
async fn answer<T: Task>(mut batch: Vec<Job<T>>, yard: Yard, worker: OwnedSemaphorePermit) {
    batch.retain(|job| !job.reply.is_closed());
    let mut inputs = Vec::new();
    let mut askers = Vec::new();
    for job in batch {
        askers.push((job.inputs.len(), job.reply, job._room, job._hold));
        inputs.extend(job.inputs);
    }
    let n_inputs = inputs.len();
    if n_inputs == 0 {
        return;
    }
    yard.metrics.batch(T::NAME, n_inputs);
    let service = yard.current.get().service;
    let results = tokio::task::spawn_blocking(move || {
        let results = T::run(&*service, &inputs);
        drop(worker);
        results
    });
    let mut results = match results.await {
        Ok(results) if results.len() == n_inputs => results.into_iter(),
        Ok(results) => refusals::<T>(n_inputs, &format!("{} answers came", results.len())),
        Err(_) => refusals::<T>(n_inputs, "it panicked"),
    };
    for (n_own, reply, ..) in askers {
        // Whoever does not wait any more needs no answer.
        let _ = reply.send(results.by_ref().take(n_own).collect());
    }
}

fn refusals<T: Task>(n: usize, why: &str) -> std::vec::IntoIter<Result<T::Output, Refusal>> {
    let refusal = Refusal::new(
        Reason::Failed,
        format!("the service failed on a batch of {n}: {why}"),
        "ask one by one to find the input; this is a defect, please report it",
    );
    let results: Vec<_> = (0..n).map(|_| Err(refusal.clone())).collect();
    results.into_iter()
}
