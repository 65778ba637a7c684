//! How others decide, as scripts and calls of the same shape: what they do per decision is theirs, how they
//! are called is the same for all.

use redis::aio::MultiplexedConnection;
use redis::{Script, pipe};

/// redis-cell's algorithm (GCRA, one time of arrival in a key) as a script: asked for burst, count, period and
/// quantity, it answers with its five numbers.
pub(crate) const CELL: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, emission = ARGV[1] + 1, ARGV[3] * 1000000 / ARGV[2]
local tolerance, increment = emission * limit, emission * ARGV[4]
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local ttl, limited, retry = tat + increment - now, 0, -1000000
if ttl > tolerance then
  if increment <= tolerance then retry = ttl - tolerance end
  limited, ttl = 1, tat - now
else
  redis.call('SET', KEYS[1], string.format('%.0f', now + ttl), 'PX', math.ceil(ttl / 1000))
end
return {limited, limit, (tolerance - ttl) / emission, retry / 1000000, ttl / 1000000}";

/// Four token buckets, each a hash, all or none.
pub(crate) const HASHES: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local left, fits = {}, true
for i, key in ipairs(KEYS) do
  local rate, cap = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local h = redis.call('HMGET', key, 't', 'v')
  local value = cap
  if h[1] then value = math.min(cap, h[2] + (now - h[1]) * rate) end
  if value < 1 then fits = false end
  left[i] = value
end
if not fits then return 0 end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 't', string.format('%.0f', now), 'v', left[i] - 1)
  redis.call('PEXPIRE', key, 60000)
end
return 1";

/// Counters and when they end, as limitador reads them to tell what is left.
const LEFT: &str = "
local res = {}
for _, key in ipairs(KEYS) do
  table.insert(res, redis.call('get', key))
  table.insert(res, redis.call('pttl', key))
end
return res";

/// One counter of a window, as limitador updates it, and the set of all counters of its limit.
const COUNTER: &str = "
local c = redis.call('incrby', KEYS[1], ARGV[2])
if c == tonumber(ARGV[2]) then
  redis.call('expire', KEYS[1], ARGV[1])
  redis.call('sadd', KEYS[2], KEYS[1])
end
return c";

#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) connection: MultiplexedConnection,
    cell: Script,
    hashes: Script,
    left: Script,
    counter: Script,
}

impl Peers {
    pub(crate) async fn new(connection: MultiplexedConnection) -> redis::RedisResult<Self> {
        let mut loading = connection.clone();
        let scripts = [CELL, HASHES, LEFT, COUNTER].map(Script::new);
        for script in &scripts {
            script.prepare_invoke().load_async(&mut loading).await?;
        }
        let [cell, hashes, left, counter] = scripts;
        Ok(Self { connection, cell, hashes, left, counter })
    }

    pub(crate) async fn get(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        redis::cmd("GET").arg(key).query_async::<Option<String>>(&mut connection).await.map(drop)
    }

    pub(crate) async fn cell(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.cell.get_hash()).arg(1).arg(format!("cell:{key}"));
        // A million in a second: one microsecond each.
        command.arg(59_999_999).arg(60_000_000).arg(60).arg(1);
        command.query_async::<Vec<i64>>(&mut connection).await.map(drop)
    }

    pub(crate) async fn hashes(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.hashes.get_hash()).arg(4);
        for at in 0..4 {
            command.arg(format!("hash:{at}:{key}"));
        }
        for _ in 0..4 {
            command.arg("1").arg(1_000_000);
        }
        command.query_async::<i64>(&mut connection).await.map(drop)
    }

    /// Reads all counters, also when they end if what is left is to be told, then updates each: two round trips,
    /// and others come between them.
    pub(crate) async fn limitador(&self, key: &str, tells_left: bool) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let keys: Vec<String> = (0..4).map(|at| format!("lim:{at}:{key}")).collect();
        let mut read = redis::cmd(if tells_left { "EVALSHA" } else { "MGET" });
        if tells_left {
            read.arg(self.left.get_hash()).arg(4);
        }
        read.arg(&keys).query_async::<Vec<Option<i64>>>(&mut connection).await?;
        let mut update = pipe();
        for (at, key) in keys.iter().enumerate() {
            let all = format!("limits:{at}");
            update.cmd("EVALSHA").arg(self.counter.get_hash()).arg(2).arg(key).arg(all).arg(60).arg(1).ignore();
        }
        update.query_async::<()>(&mut connection).await
    }

    /// Counts each window up, also when it is full.
    pub(crate) async fn envoy(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let mut update = pipe();
        for at in 0..4 {
            let key = format!("envoy:{at}:{key}");
            update.cmd("INCRBY").arg(&key).arg(1).cmd("EXPIRE").arg(&key).arg(60);
        }
        update.query_async::<Vec<i64>>(&mut connection).await.map(drop)
    }
}
