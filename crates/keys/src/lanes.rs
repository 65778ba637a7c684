//! Argon2 in a few threads of its own, so that hashing takes neither the event loop nor more memory
//! than lanes x 19 MiB, whoever asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::oneshot;
use zeroize::{Zeroize, Zeroizing};

use crate::format::SECRET_LEN;
use crate::hash::Cost;
use crate::pepper::Pepper;

/// How long an idle lane keeps its memory.
const KEEP: Duration = Duration::from_secs(1);

/// Threads that hash, and the queue before them. Threads start when they are first needed and end
/// when this is dropped.
pub(crate) struct Lanes {
    shared: Arc<Shared>,
    most: usize,
    queue: usize,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    hashes: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    lanes: usize,
    idle: usize,
    is_closed: bool,
}

struct Job {
    secret: Zeroizing<[u8; SECRET_LEN]>,
    pepper: Zeroizing<[u8; 32]>,
    cost: Cost,
    salt: [u8; 16],
    reply: oneshot::Sender<[u8; 32]>,
}

/// The queue is full, or no thread could be had.
pub(crate) struct Full;

impl Lanes {
    pub(crate) fn new(most: usize, queue: usize) -> Self {
        let shared = Shared { state: Mutex::default(), wake: Condvar::new(), hashes: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), most, queue }
    }

    /// Hashes a secret. Waits its turn; sheds at once when too many wait.
    pub(crate) async fn hash(
        &self,
        secret: &[u8],
        pepper: &Pepper,
        cost: Cost,
        salt: [u8; 16],
    ) -> Result<[u8; 32], Full> {
        let secret = Zeroizing::new(secret.try_into().map_err(|_| Full)?);
        let (reply, answer) = oneshot::channel();
        self.push(Job { secret, pepper: pepper.bytes.clone(), cost, salt, reply })?;
        answer.await.map_err(|_| Full)
    }

    /// How many hashes were made.
    pub(crate) fn hashes(&self) -> u64 {
        self.shared.hashes.load(Ordering::Relaxed)
    }

    fn push(&self, job: Job) -> Result<(), Full> {
        let mut state = self.shared.lock();
        if state.jobs.len() >= self.queue + state.idle {
            return Err(Full);
        }
        if state.idle <= state.jobs.len() && state.lanes < self.most {
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().name("keys-argon2".to_owned()).spawn(move || shared.work());
            state.lanes += usize::from(started.is_ok());
        }
        if state.lanes == 0 {
            return Err(Full);
        }
        state.jobs.push_back(job);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut arena: Vec<Block> = Vec::new();
        while let Some(job) = self.next(&mut arena) {
            if job.reply.is_closed() {
                continue;
            }
            self.hashes.fetch_add(1, Ordering::Relaxed);
            if let Ok(output) = job.hash(&mut arena) {
                // Nobody waits any more: the answer is not needed.
                let _ = job.reply.send(output);
            }
            arena.iter_mut().for_each(Zeroize::zeroize);
            arena.truncate(Cost::OWASP.memory_kib as usize);
            arena.shrink_to_fit();
        }
    }

    /// Waits for a job. The memory, 19 MiB, is given back when none comes for a while.
    fn next(&self, arena: &mut Vec<Block>) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        while state.jobs.is_empty() && !state.is_closed {
            if arena.is_empty() {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (woken, waited) = self.wake.wait_timeout(state, KEEP).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if waited.timed_out() {
                    *arena = Vec::new();
                }
            }
        }
        state.idle -= 1;
        state.jobs.pop_front()
    }
}

impl Job {
    fn hash(&self, arena: &mut Vec<Block>) -> Result<[u8; 32], argon2::Error> {
        let params = Params::new(self.cost.memory_kib, self.cost.passes, 1, Some(32))?;
        if arena.len() < params.block_count() {
            arena.resize(params.block_count(), Block::new());
        }
        let argon2 = Argon2::new_with_secret(self.pepper.as_ref(), Algorithm::Argon2id, Version::V0x13, params)?;
        let mut output = [0; 32];
        argon2.hash_password_into_with_memory(self.secret.as_ref(), &self.salt, &mut output, arena)?;
        Ok(output)
    }
}
