//! How others decide, as scripts and calls of the same shape: what they do per decision is theirs, how they
//! are called is the same for all.

use redis::aio::MultiplexedConnection;
use redis::{Script, pipe};

/// redis-cell's algorithm (GCRA, one time of arrival in a key) as a script.
pub(crate) const CELL: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local emission, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local new = tat + emission
if new - now > tolerance then return {0, 0, new - now - tolerance} end
redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil((new - now) / 1000))
return {1, math.floor((tolerance - (new - now)) / emission), 0}";

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

/// One counter of a window, as limitador updates it.
const COUNTER: &str = "
local c = redis.call('INCRBY', KEYS[1], ARGV[1])
if c == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return c";

#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) connection: MultiplexedConnection,
    cell: Script,
    hashes: Script,
    counter: Script,
}

impl Peers {
    pub(crate) async fn new(connection: MultiplexedConnection) -> redis::RedisResult<Self> {
        let mut loading = connection.clone();
        let scripts = [CELL, HASHES, COUNTER].map(Script::new);
        for script in &scripts {
            script.prepare_invoke().load_async(&mut loading).await?;
        }
        let [cell, hashes, counter] = scripts;
        Ok(Self { connection, cell, hashes, counter })
    }

    pub(crate) async fn get(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        redis::cmd("GET").arg(key).query_async::<Option<String>>(&mut connection).await.map(drop)
    }

    pub(crate) async fn cell(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.cell.get_hash()).arg(1).arg(format!("cell:{key}")).arg(1).arg(60_000_000_u64);
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

    /// Reads all counters, then updates each: two round trips, and others come between them.
    pub(crate) async fn limitador(&self, key: &str) -> redis::RedisResult<()> {
        let mut connection = self.connection.clone();
        let keys: Vec<String> = (0..4).map(|at| format!("lim:{at}:{key}")).collect();
        let mut read = pipe();
        for key in &keys {
            read.cmd("GET").arg(key).cmd("PTTL").arg(key);
        }
        read.query_async::<Vec<Option<i64>>>(&mut connection).await?;
        let mut update = pipe();
        for key in &keys {
            update.cmd("EVALSHA").arg(self.counter.get_hash()).arg(1).arg(key).arg(1).arg(60);
        }
        update.query_async::<Vec<i64>>(&mut connection).await.map(drop)
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
