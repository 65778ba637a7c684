//! What monitors saw, told by all gateways to each other over Redis.

use std::fmt;
use std::time::Duration;

use redis_place::{PlaceError, RedisTls};

use crate::caller::NoAnswer;
use crate::script::Script;

const SCRIPT: &str = include_str!("monitors.lua");
/// How long a call may take, if nothing else is said. Nobody waits for it.
const DEADLINE: Duration = Duration::from_secs(2);
/// Most principals of one gateway that are kept for a model, all gateways together: 34 MiB.
const KEPT: usize = 1_024;
/// How long what was told is kept.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Most entries of one answer: 2 MiB, or twice that while traces are told.
const MOST: usize = 64;
/// Hexadecimal digits of a gateway's name.
const NAME: usize = 16;

/// Tells other gateways what the monitors of this one saw, and hears what theirs did. One call costs the server some
/// hundred microseconds and 33 KiB for each principal that is told or heard of; it is nothing for the path of a request.
///
/// For each model a day of at most 1024 principals is kept, those of each gateway apart, and what was learnt without an
/// end. A gateway that starts hears what it told before it stopped, as another's.
///
/// A Redis that is away is an error: go on with what is known, and tell it later. A user needs these rights, with the
/// prefix after `~`; the last two for Sentinel and Cluster only:
///
/// ```text
/// ACL SETUSER monitors on >secret resetkeys ~pcm:* resetchannels -@all +evalsha +eval +time +hset +hget +hdel +zadd +zrem +zcard +zrange +zrevrange +zrangebyscore +pexpire +role +cluster|slots
/// ```
pub struct RedisMonitors {
    script: Script,
    prefix: String,
    /// The name of this gateway, new with each start.
    gateway: String,
    deadline: Duration,
}

/// As the script gives it: until when was heard, when was learnt, what, and what others told.
type Answer = (u64, u64, Vec<u8>, Vec<(String, Vec<u8>)>);

/// What was seen of one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The principal.
    pub who: String,
    /// By which gateway it was seen.
    pub gateway: String,
    /// The state of its monitor, or its trace.
    pub bytes: Vec<u8>,
}

/// What is known of honest queries. The newest holds for all gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learnt {
    /// When it was learnt or forgotten, in milliseconds since the Unix epoch; 0 if never.
    pub at: u64,
    /// The calibration; empty if it was forgotten.
    pub bytes: Vec<u8>,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// For the next call; it hears what is told from then on.
    pub until: u64,
    /// Whether there may be more to hear now.
    pub has_more: bool,
    /// What others saw, the oldest first.
    pub sights: Vec<Sight>,
    /// What is newest of what gateways learnt.
    pub learnt: Learnt,
}

/// Nobody was told, as far as is known, and nothing heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untold {
    /// Redis is away, too slow, or refuses.
    #[error("Redis does not answer")]
    Unavailable,
    /// What stands there is none of ours.
    #[error("what is stored in Redis is damaged")]
    Corrupt,
}

impl RedisMonitors {
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
        // Sent twice, it tells the same again.
        let script = Script::new(SCRIPT, url, tls, sentinel_login, prefix)?;
        let number = getrandom::u64().map_err(|_| PlaceError::Settings("the system gives no random numbers"))?;
        let gateway = format!("{number:0NAME$x}");
        Ok(Self { script, prefix: prefix.to_owned(), gateway, deadline: DEADLINE })
    }

    /// How long a call may take; two seconds, if this is not said.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Tells what was seen of principals at `model`, and what was learnt, and gives what others told since the call that
    /// ended with [`Heard::until`]; 0 for all of it.
    ///
    /// # Errors
    /// [`Untold`]; call again with the same.
    pub async fn exchange<'a>(
        &self,
        model: &str,
        seen: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
        learnt: &Learnt,
        since: u64,
    ) -> Result<Heard, Untold> {
        let keys = ["mt", "mo", "ml"].map(|kind| format!("{}{kind}:{{{model}}}", self.prefix));
        let add = |command: &mut redis::Cmd| {
            command.arg(&self.gateway).arg(since).arg(MOST).arg(KEPT).arg(TTL.as_millis() as u64);
            command.arg(learnt.at).arg(&learnt.bytes);
            seen.clone().for_each(|(who, bytes)| {
                command.arg(who).arg(bytes);
            });
        };
        let asked: Result<Answer, NoAnswer> = self.script.call(&keys, add, self.deadline).await;
        let (until, at, bytes, told) = asked.map_err(|error| match error {
            NoAnswer::Slots | NoAnswer::Unavailable => Untold::Unavailable,
            NoAnswer::Corrupt => Untold::Corrupt,
        })?;
        let sight = |(entry, bytes): (String, Vec<u8>)| {
            let (gateway, who) = entry.split_once('/')?;
            Some(Sight { who: who.to_owned(), gateway: gateway.to_owned(), bytes })
        };
        let has_more = until > since;
        let sights = told.into_iter().filter_map(sight).collect();
        Ok(Heard { until, has_more, sights, learnt: Learnt { at, bytes } })
    }
}

impl fmt::Debug for RedisMonitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisMonitors").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
