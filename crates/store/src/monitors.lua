-- What gateways saw of the principals at one model: tells what one of them saw, and gives what others told since.
--
-- KEYS: what was told (hash of "gateway/principal"), the same in the order in which it was told (sorted set of
--       numbers that grow), what was learnt (hash of `at` and `bytes`).
-- ARGV: the gateway; the number up to which it has heard; most entries of the answer; most entries that are kept; how
--       long in milliseconds; when it learnt, and what; then pairs of a principal and what was seen of it.
-- Answer: the number up to which it has heard now, when was learnt, what, and pairs of an entry and what was told.
local call = redis.call
local told, order, learnt = KEYS[1], KEYS[2], KEYS[3]
local gateway, most, kept, ttl = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget(entries)
  for _, entry in ipairs(entries) do
    call('ZREM', order, entry)
    call('HDEL', told, entry)
  end
end

-- Milliseconds, but for what is told within the same one.
local number = tonumber(call('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2] or '0')
if number < now then number = now end
for at = 8, #ARGV, 2 do
  number = number + 1
  local entry = gateway .. '/' .. ARGV[at]
  call('HSET', told, entry, ARGV[at + 1])
  call('ZADD', order, number, entry)
end
forget(call('ZRANGEBYSCORE', order, '-inf', now - ttl))
local over = call('ZCARD', order) - kept
if over > 0 then forget(call('ZRANGE', order, 0, over - 1)) end
call('PEXPIRE', told, ttl)
call('PEXPIRE', order, ttl)

local at = tonumber(call('HGET', learnt, 'at') or '0')
if tonumber(ARGV[6]) > at then
  call('HSET', learnt, 'at', ARGV[6], 'bytes', ARGV[7])
  at = tonumber(ARGV[6])
end

local heard = ARGV[2]
local answer = {}
local entries = call('ZRANGEBYSCORE', order, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for each = 1, #entries, 2 do
  heard = entries[each + 1]
  if string.sub(entries[each], 1, #gateway + 1) ~= gateway .. '/' then
    answer[#answer + 1] = entries[each]
    answer[#answer + 1] = call('HGET', told, entries[each]) or ''
  end
end
return {string.format('%.0f', tonumber(heard)), string.format('%.0f', at), call('HGET', learnt, 'bytes') or '', answer}
