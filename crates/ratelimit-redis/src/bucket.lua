-- Takes, settles or looks at buckets: all of them or none. The arithmetic is that of src/bucket.rs.
--
-- KEYS: one bucket for each charge; a bucket may be named again.
-- ARGV: mode ("take", "settle" or "peek"), then for each charge
--       step in microseconds, ticks a step gives back, capacity in ticks, ticks to take, ticks to add, ticks to give.
-- A bucket is two doubles: time of its last step in microseconds, ticks in use. Absent means full.
-- Answer: 1 taken, 0 not taken, -1 stored bytes are no bucket; then for each charge
--       ticks in use, ticks that must come back before it fits (0 when it does).
local mode = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local MOST = 9007199254740991
local buckets, reply, fits = {}, {1}, true

for i, key in ipairs(KEYS) do
  local a = 2 + (i - 1) * 6
  local step, back = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  local bucket = buckets[key]
  if not bucket then
    bucket = {at = now, used = 0, back = back, step = step}
    local stored = redis.call('GET', key)
    if stored then
      if #stored ~= 16 then return {-1} end
      bucket.at, bucket.used = struct.unpack('<dd', stored)
      if not (bucket.at >= 0 and bucket.used >= 0 and bucket.at <= MOST and bucket.used <= MOST) then return {-1} end
    end
    -- A clock that was far ahead must not stop the bucket from refilling.
    if bucket.at > now + 86400000000 then bucket.at = now end
    local steps = math.floor((now - bucket.at) / step)
    if steps > 0 then
      if steps * back >= bucket.used then
        bucket.at, bucket.used = now, 0
      else
        bucket.at, bucket.used = bucket.at + steps * step, bucket.used - steps * back
      end
    end
    buckets[key] = bucket
  end
  local over = 0
  if mode == 'take' then
    over = math.max(0, bucket.used + tonumber(ARGV[a + 3]) - tonumber(ARGV[a + 2]))
    if over == 0 then bucket.used = bucket.used + tonumber(ARGV[a + 3]) else fits = false end
  elseif mode == 'settle' then
    bucket.used = math.min(MOST, math.max(0, bucket.used + tonumber(ARGV[a + 4]) - tonumber(ARGV[a + 5])))
  end
  reply[#reply + 1] = bucket.used
  reply[#reply + 1] = over
end

if not fits then
  reply[1] = 0
  return reply
end
if mode == 'peek' then return reply end
for key, bucket in pairs(buckets) do
  if bucket.used == 0 then
    redis.call('DEL', key)
  else
    -- A full bucket is an absent one: it may expire once it is full, and a second later.
    local full = math.ceil(bucket.used / bucket.back) * bucket.step / 1000
    redis.call('SET', key, struct.pack('<dd', bucket.at, bucket.used), 'PX', string.format('%.0f', math.ceil(full) + 1000))
  end
end
return reply
