//! Distinct queries, counted by all gateways over Redis.

use std::fmt;
use std::time::Duration;

use privacy::distinct::{
    BoxFuture, Bucket, Counted, EXACT, LedgerError, Query, QueryLedger, Sketch, Standing, Tally, UnixMillis, check_call,
};
use redis_place::{PlaceError, RedisTls, hash_tag};

use crate::caller::NoAnswer;
use crate::script::Script;

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
    script: Script,
    prefix: String,
    deadline: Duration,
}

impl RedisQueryLedger {
    /// At an address as [`RedisPlace::new`](redis_place::RedisPlace::new) reads it, which see for `sentinel_login`,
    /// too; keys begin with `prefix`. Connects to nobody yet.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        // Sent twice, it finds repeats of what it counted.
        let script = Script::new(SCRIPT, url, tls, sentinel_login, prefix)?;
        Ok(Self { script, prefix: prefix.to_owned(), deadline: DEADLINE })
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
        let add = |command: &mut redis::Cmd| {
            command.arg(packed(queries)).arg(Sketch::NEAR).arg(EXACT);
            for bucket in buckets {
                let budget = bucket.budget();
                command.arg(budget.hard_limit()).arg(budget.window().end(now).saturating_add(GRACE));
            }
        };
        let asked: Result<Vec<i64>, NoAnswer> = self.script.call(&keys, add, self.deadline).await;
        let numbers = asked.map_err(|error| match error {
            NoAnswer::Slots => LedgerError::Call,
            NoAnswer::Unavailable => LedgerError::Unavailable,
            NoAnswer::Corrupt => LedgerError::Corrupt,
        })?;
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
