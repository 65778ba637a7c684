//! Changed keys, told from gateway to gateway over Redis.
//!
//! One stream is all there is: who blocks on it hears at once, the number of its last entry says what was heard,
//! and what was added meanwhile is read from there. Where something may have been missed after all, the listener
//! is told so and reads its rows again, so that nothing here has to be exact.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keys::{BoxFuture, Changed, Heard, Revocations, Unheard};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use redis_place::{Connections, Node, PlaceError, RedisPlace, RedisTls, key_slot};

/// Entries that are kept, roughly.
const KEPT: usize = 10_000;
/// Entries that are read at once.
const AT_ONCE: usize = 1_000;
/// The one field of an entry.
const FIELD: &str = "c";
/// How long all of an announcement may take, and how much of it sentinels may.
const DEADLINE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);
/// How long the server holds a call for which there is nothing yet; and how long its answer is waited for, so that
/// two seconds are never reached.
const BLOCK: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(1_500);
/// Between two looks whether the stream is still the same.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Before a listener connects again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The verifiers of the same keys, wherever they run, by way of a stream in Redis.
///
/// An announcement is there when the server has it; it may be heard twice. Who listens has a connection of its
/// own. A failover may lose the last announcements, but whoever listens is told [`Heard::Here`] after it, as after
/// everything else that could make it miss something. While a slot of a cluster moves, nothing is heard.
///
/// A user needs these rights, with the prefix after `~`; the last two for Sentinel and Cluster only:
///
/// ```text
/// ACL SETUSER keys on >secret resetkeys ~pck:* resetchannels -@all +xadd +xread +xinfo|stream +role +cluster|slots
/// ```
///
/// Somebody else with such rights can make rows be read again, and no more: an entry that cannot be read is heard
/// as [`Changed::All`].
pub struct RedisRevocations {
    place: Arc<RedisPlace>,
    /// For announcements.
    connections: Connections,
    key: String,
    slot: u16,
}

/// Why the stream is out of reach.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Place(#[from] PlaceError),
    #[error("redis says {0}")]
    Says(String),
    #[error("another server of the cluster has the stream")]
    Moved,
    #[error("another server is the master")]
    OtherMaster,
    #[error("redis is silent")]
    Silent,
}

/// The number of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EntryId(u64, u64);

/// How far a stream has come: its last entry, and how many there ever were, which servers before Redis 7 do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    last: EntryId,
    count: Option<u64>,
}

/// A listener's own way to the stream.
struct Way {
    node: Arc<Node>,
    turn: u64,
    connection: MultiplexedConnection,
}

/// What `XREAD` says: the stream, with its entries, and their fields and values in turn.
type Streams = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

impl RedisRevocations {
    /// The stream `<prefix>changes` at an address as [`RedisPlace::new`] reads it, which see for `sentinel_login`,
    /// too. Connects to nobody yet.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        let place = Arc::new(RedisPlace::new(url, tls, sentinel_login)?);
        let key = format!("{prefix}changes");
        Ok(Self { connections: Connections::new(place.clone()), place, slot: key_slot(&key), key })
    }

    /// The server that has the stream.
    async fn node(&self) -> Result<Arc<Node>, PlaceError> {
        if let Some(node) = self.place.node(self.slot) {
            return Ok(node);
        }
        self.connections.learn().await?;
        self.place.node(self.slot).ok_or(PlaceError::Unavailable)
    }

    /// What an error means. Who has the stream now is noted, if the server says it.
    fn fault(&self, node: &Node, error: &RedisError) -> Fault {
        let is_moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
        if let (true, Ok(Some(owner))) = (is_moved, self.place.redirected(error, node)) {
            self.place.moved(self.slot, &owner);
            return Fault::Moved;
        }
        match (PlaceError::from(error), error.code()) {
            (PlaceError::Unavailable, Some(code)) => Fault::Says(code.to_owned()),
            (error, _) => Fault::Place(error),
        }
    }

    /// Before another try: asks a cluster who has the stream now, if that is not known.
    async fn look_around(&self, fault: &Fault) {
        if self.place.is_cluster() && !matches!(fault, Fault::Moved) {
            let _ = self.connections.learn().await;
        }
    }

    /// Twice, if need be: an entry too many does no harm.
    async fn tell(&self, change: &str) -> Result<(), Fault> {
        let Err(fault) = self.add(change).await else { return Ok(()) };
        self.look_around(&fault).await;
        self.add(change).await
    }

    async fn add(&self, change: &str) -> Result<(), Fault> {
        let node = self.node().await?;
        // A master that was replaced on purpose goes on taking entries for a while. Sentinels that are away do not
        // matter as long as the master is there.
        let _ = tokio::time::timeout(LOOK, node.look()).await;
        let mut connection = self.connections.to(&node).await?;
        let mut add = redis::cmd("XADD");
        add.arg(&self.key).arg("MAXLEN").arg("~").arg(KEPT).arg("*").arg(FIELD).arg(change);
        add.exec_async(&mut connection).await.map_err(|error| {
            self.connections.forget(&node);
            self.fault(&node, &error)
        })
    }

    async fn way(&self) -> Result<Way, Fault> {
        let node = self.node().await?;
        let (turn, mut connection) = node.connect().await?;
        connection.set_response_timeout(ANSWER);
        Ok(Way { node, turn, connection })
    }

    /// Hears changes until that is no longer possible.
    async fn follow(&self, listener: &mut Listener<'_>) -> Result<Infallible, Fault> {
        let mut way = tokio::time::timeout(ANSWER, self.way()).await.map_err(|_| Fault::Silent)??;
        // Before the listener reads its rows, so that nothing falls in between.
        let mut at = self.position(&mut way).await?;
        let mut looked_at = Instant::now();
        // Not held, because only its answer says that the user may read.
        let mut streams = self.read(&mut way, at.last, None).await?;
        listener.here();
        loop {
            for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
                at = Position { last: id.parse()?, count: at.count.map(|count| count.saturating_add(1)) };
                (listener.hear)(Heard::Changed(read_change(&fields)));
            }
            way.node.watch();
            if way.node.turn() != way.turn {
                return Err(Fault::OtherMaster);
            }
            if looked_at.elapsed() >= BETWEEN_LOOKS {
                let now = self.position(&mut way).await?;
                looked_at = Instant::now();
                if now.is_other_than(at) {
                    at = now;
                    listener.here();
                }
            }
            streams = self.read(&mut way, at.last, Some(BLOCK)).await?;
            listener.pause = FIRST_PAUSE;
        }
    }

    async fn position(&self, way: &mut Way) -> Result<Position, Fault> {
        let mut ask = redis::cmd("XINFO");
        let said = ask.arg("STREAM").arg(&self.key).query_async(&mut way.connection).await;
        let facts: Vec<(String, redis::Value)> = match said {
            Ok(facts) => facts,
            Err(error) if error.detail().is_some_and(|text| text.contains("no such key")) => {
                return Ok(Position::START);
            }
            Err(error) => return Err(self.fault(&way.node, &error)),
        };
        Position::of(facts).ok_or(Fault::Place(PlaceError::Unavailable))
    }

    async fn read(&self, way: &mut Way, after: EntryId, block: Option<Duration>) -> Result<Streams, Fault> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(AT_ONCE);
        if let Some(block) = block {
            read.arg("BLOCK").arg(block.as_millis().to_string());
        }
        read.arg("STREAMS").arg(&self.key).arg(after.to_string());
        read.query_async(&mut way.connection).await.map_err(|error| self.fault(&way.node, &error))
    }
}

impl Revocations for RedisRevocations {
    fn announce<'a>(&'a self, changed: &'a Changed) -> BoxFuture<'a, Result<(), Unheard>> {
        Box::pin(async move {
            let told = tokio::time::timeout(DEADLINE, self.tell(&changed.to_string())).await;
            told.unwrap_or(Err(Fault::Silent)).map_err(|fault| {
                tracing::warn!(%fault, "other gateways are not told of changed keys");
                Unheard
            })
        })
    }

    fn listen<'a>(&'a self, hear: &'a (dyn Fn(Heard) + Send + Sync)) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut listener = Listener { hear, is_here: None, pause: FIRST_PAUSE };
            loop {
                let Err(fault) = self.follow(&mut listener).await;
                listener.away(&fault);
                self.look_around(&fault).await;
                tokio::time::sleep(listener.pause).await;
                listener.pause = LONGEST_PAUSE.min(listener.pause * 2);
            }
        })
    }
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Who listens, and what it was told.
struct Listener<'a> {
    hear: &'a (dyn Fn(Heard) + Send + Sync),
    /// Nothing at first.
    is_here: Option<bool>,
    pause: Duration,
}

impl Listener<'_> {
    fn here(&mut self) {
        if self.is_here == Some(false) {
            tracing::info!("changed keys of other gateways are heard again");
        }
        self.is_here = Some(true);
        (self.hear)(Heard::Here);
    }

    /// Once. Who was not told `Here` yet knows that it does not hear.
    fn away(&mut self, fault: &Fault) {
        let was_here = self.is_here.replace(false);
        if was_here != Some(false) {
            tracing::warn!(%fault, "changed keys of other gateways are not heard");
        }
        if was_here == Some(true) {
            (self.hear)(Heard::Away);
        }
    }
}

impl Position {
    /// Of a stream that is not there yet.
    const START: Self = Self { last: EntryId(0, 0), count: Some(0) };

    fn of(facts: Vec<(String, redis::Value)>) -> Option<Self> {
        let (mut last, mut count) = (None, None);
        for (name, value) in facts {
            match name.as_str() {
                "last-generated-id" => last = redis::from_redis_value::<String>(value).ok()?.parse().ok(),
                "entries-added" => count = redis::from_redis_value(value).ok(),
                _ => {}
            }
        }
        Some(Self { last: last?, count })
    }

    /// Whether this cannot be the stream that was read so far: it went back, or there were entries that were not
    /// read. Entries that are still to be read are none of these.
    fn is_other_than(self, read: Self) -> bool {
        let counts = self.count.zip(read.count);
        self.last < read.last || self.last == read.last && counts.is_some_and(|(now, read)| now != read)
    }
}

/// Whatever it may be, it is a reason to read rows again.
fn read_change(fields: &[Vec<u8>]) -> Changed {
    let text = match fields {
        [name, text] if name == FIELD.as_bytes() => std::str::from_utf8(text).ok(),
        _ => None,
    };
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        tracing::warn!("somebody else writes to the stream of changed keys");
        Changed::All
    })
}

impl FromStr for EntryId {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parts = text.split_once('-').and_then(|(time, number)| Some((time.parse().ok()?, number.parse().ok()?)));
        parts.map(|(time, number)| Self(time, number)).ok_or(PlaceError::Unavailable)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}
