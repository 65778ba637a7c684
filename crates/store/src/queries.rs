//! Distinct queries, counted by all gateways over Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use privacy::distinct::{
    BoxFuture, Bucket, Counted, EXACT, LedgerError, Query, QueryLedger, Sketch, Standing, Tally, UnixMillis, check_call,
};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use redis_place::{Connections, PlaceError, RedisPlace, RedisTls, hash_tag, key_slot};

const SCRIPT: &str = include_str!("queries.lua");
/// What a bucket is stored under.
const KINDS: [&str; 5] = ["f", "d", "h1", "h2", "s"];
/// Numbers of a bucket in the answer of the script.
const NUMBERS: usize = 7;
/// How long a call may take, if nothing else is said.
const DEADLINE: Duration = Duration::from_millis(500);
/// How long a window is kept after its end: clocks of gateways may differ by so much.
const GRACE: u64 = 86_400_000;

/// The distinct queries of all gateways that share a Redis, or of each slot of a cluster.
///
/// One script call does all of a request, in some 60 us of the server's time for one query of two buckets. A bucket
/// takes about 50 bytes for each query up to [`EXACT`], 24 KiB from some thousands on for two HyperLogLogs, and 32 KiB
/// for sketches; all of it ends a day after its window.
///
/// Redis that is away is an error; the caller decides, and who goes on has no budget. A Redis that restarts empty or
/// evicts keys has forgotten what was asked: give it a policy of `noeviction`, and persistence if the budget matters
/// more than a restart. A failover may lose the last counts.
///
/// A user needs these rights, with the prefix after `~`; the last two for Sentinel and Cluster only:
///
/// ```text
/// ACL SETUSER queries on >secret resetkeys ~pcq:* resetchannels -@all +evalsha +eval +hmget +hset +hincrby +scard +sismember +sadd +spop +pfadd +pfcount +getrange +setrange +pexpireat +role +cluster|slots
/// ```
pub struct RedisQueryLedger {
    place: Arc<RedisPlace>,
    connections: Connections,
    prefix: String,
    /// SHA-1 of the script.
    digest: String,
    deadline: Duration,
}

/// Why a call has no answer.
enum Fault {
    /// It is sent once more: what it counted, if it ran, are repeats then.
    Again,
    Ledger(LedgerError),
}

impl RedisQueryLedger {
    /// At an address as [`RedisPlace::new`] reads it, which see for `sentinel_login`, too; keys begin with
    /// `prefix`. Connects to nobody yet.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        if prefix.contains('{') {
            return Err(PlaceError::Settings("the prefix of the keys has a brace"));
        }
        let place = Arc::new(RedisPlace::new(url, tls, sentinel_login)?);
        let digest = redis::Script::new(SCRIPT).get_hash().to_owned();
        let (connections, prefix) = (Connections::new(place.clone()), prefix.to_owned());
        Ok(Self { place, connections, prefix, digest, deadline: DEADLINE })
    }

    /// How long a call may take; half a second, if this is not said.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    async fn count_now(
        &self,
        buckets: &[Bucket<'_>],
        queries: &[Query],
        now: UnixMillis,
    ) -> Result<Counted, LedgerError> {
        check_call(buckets, queries)?;
        let keys: Vec<String> = buckets.iter().flat_map(|bucket| self.keys(bucket, now)).collect();
        let slot = self.slot(&keys)?;
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(&keys);
            command.arg(packed(queries)).arg(Sketch::NEAR).arg(EXACT);
            for bucket in buckets {
                let budget = bucket.budget();
                command.arg(budget.hard_limit()).arg(budget.window().end(now).saturating_add(GRACE));
            }
            command
        };
        let both = [command("EVALSHA", &self.digest), command("EVAL", SCRIPT)];
        let asked = tokio::time::timeout(self.deadline, self.ask_twice(slot, &both)).await;
        let numbers = asked.unwrap_or(Err(LedgerError::Unavailable))?;
        counted(buckets, &numbers, now).ok_or(LedgerError::Corrupt)
    }

    /// All keys of a bucket have its hash tag, or else its whole name is one.
    fn keys(&self, bucket: &Bucket<'_>, now: UnixMillis) -> [String; KINDS.len()] {
        let (prefix, name, window) = (&self.prefix, bucket.name(), bucket.budget().window().name(now));
        KINDS.map(|kind| match hash_tag(name) {
            Some(_) => format!("{prefix}{kind}:{window}:{name}"),
            None => format!("{prefix}{kind}:{window}{{:{name}}}"),
        })
    }

    /// The one slot of all keys.
    fn slot(&self, keys: &[String]) -> Result<u16, LedgerError> {
        if !self.place.is_cluster() {
            return Ok(0);
        }
        let mut slots = keys.iter().map(|key| key_slot(key));
        let first = slots.next().ok_or(LedgerError::Call)?;
        if slots.all(|slot| slot == first) { Ok(first) } else { Err(LedgerError::Call) }
    }

    async fn ask_twice(&self, slot: u16, commands: &[redis::Cmd; 2]) -> Result<Vec<i64>, LedgerError> {
        match self.ask(slot, commands).await {
            Err(Fault::Again) => {}
            Err(Fault::Ledger(error)) => return Err(error),
            Ok(numbers) => return Ok(numbers),
        }
        self.ask(slot, commands).await.map_err(|fault| match fault {
            Fault::Again => LedgerError::Unavailable,
            Fault::Ledger(error) => error,
        })
    }

    async fn ask(&self, slot: u16, [by_digest, whole]: &[redis::Cmd; 2]) -> Result<Vec<i64>, Fault> {
        if self.place.node(slot).is_none() {
            self.connections.learn().await.map_err(|_| Fault::Ledger(LedgerError::Unavailable))?;
        }
        let node = self.place.node(slot).ok_or(Fault::Ledger(LedgerError::Unavailable))?;
        let connected = self.connections.to(&node).await;
        let mut connection = connected.map_err(|_| Fault::Ledger(LedgerError::Unavailable))?;
        let mut asked = by_digest.query_async(&mut connection).await;
        let is_unknown = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        if asked.as_ref().is_err_and(is_unknown) {
            asked = whole.query_async(&mut connection).await;
        }
        node.watch();
        let Err(error) = asked else { return asked.map_err(|_| Fault::Again) };
        if error.to_string().contains("WRONGTYPE") {
            return Err(Fault::Ledger(LedgerError::Corrupt));
        }
        match self.place.redirected(&error, &node) {
            Ok(Some(owner)) => self.place.moved(slot, &owner),
            _ => {
                self.connections.forget(&node);
                if self.place.is_cluster() {
                    let _ = self.connections.learn().await;
                }
            }
        }
        Err(Fault::Again)
    }
}

impl QueryLedger for RedisQueryLedger {
    fn count<'a>(
        &'a self,
        buckets: &'a [Bucket<'a>],
        queries: &'a [Query],
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        Box::pin(self.count_now(buckets, queries, now))
    }
}

impl fmt::Debug for RedisQueryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueryLedger").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The queries as the script reads them.
fn packed(queries: &[Query]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(queries.len() * 32);
    for query in queries {
        packed.extend_from_slice(query.digest().as_bytes());
        packed.extend_from_slice(&query.sketch().map_or(0, Sketch::bits).to_le_bytes());
        let slots = query.sketch().map_or([0; 4], Sketch::slots);
        slots.iter().for_each(|slot| packed.extend_from_slice(&(*slot as u16).to_le_bytes()));
    }
    packed
}

/// None, if that is no answer of the script.
fn counted(buckets: &[Bucket<'_>], numbers: &[i64], now: UnixMillis) -> Option<Counted> {
    let (is_refused, numbers) = numbers.split_first()?;
    let (seen, rest) = numbers.as_chunks::<NUMBERS>();
    if seen.len() != buckets.len() || !rest.is_empty() {
        return None;
    }
    let standing = |(bucket, seen): (&Bucket<'_>, &[i64; NUMBERS])| {
        let [distinct, is_exact, call_repeats, call_near, call_new, repeats, near] = seen.map(i64::cast_unsigned);
        let (budget, call) = (bucket.budget(), Tally { repeats: call_repeats, near: call_near, new: call_new });
        Standing { distinct, is_exact: is_exact == 1, call, repeats, near, budget, ends: budget.window().end(now) }
    };
    Some(Counted::new(*is_refused == 1, buckets.iter().zip(seen).map(standing).collect()))
}
