-- Does a batch of acts on buckets and slots, one after the other, each all or nothing. The arithmetic is that
-- of src/bucket.rs, the whole that of src/ledger.rs; the encoding is src/redis/batch.rs.
--
-- KEYS: records, then slots.
-- ARGV: numbers, as doubles; permits of 8 bytes; then for each record its tags of 2 bytes. The numbers are
--       the count of records; for each record its count of quotas, and for each quota the ticks a step gives
--       back and the microseconds of a step; for each slots key its lease in milliseconds; then the acts:
--       what, times, place of its permit, count of keys, and for each key its place, and for each quota of
--       its record, or once for slots, two numbers (to take) or four (to adjust).
-- A record is n tags, n times ticks in use, as integers of 7 bytes, and the time of its last change, as a double;
-- absent when nothing is in use. Four quotas are 44 bytes, the most that Redis keeps in one piece of memory with
-- what it knows of a value. A tag is 13 bits of a hash of the unit and 3 of the window.
-- Answer, as doubles: the time; for each act how many times it was taken, and what was in use before, quota
-- by quota of each of its keys.
local pack, unpack_from, rep, max, min = struct.pack, struct.unpack, string.rep, math.max, math.min
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local MOST, FAR_AHEAD, BROKEN = 9007199254740991, 86400000000, 4294967295
local TEN_YEARS = 315360000000000
local TAKE, RENEW, RELEASE = 1, 3, 4
local numbers = {unpack_from('<' .. rep('d', #ARGV[1] / 8), ARGV[1])}
local count = numbers[1]
local stored = count > 0 and redis.call('MGET', unpack(KEYS, 1, count))
local records, rates, formats, extras, others, i = {}, {}, {}, {}, {}, 2

for k = 1, count do
  local n, value = numbers[i], stored[k]
  -- How ticks and time are packed: most buckets have equally many quotas.
  formats[n] = formats[n] or '<' .. rep('I7', n) .. 'd'
  if not value then
    local used = {}
    for d = 1, n do used[d] = 0 end
    used[n + 1] = now
    records[k] = used
  elseif #value == 8 + 9 * n and string.sub(value, 1, 2 * n) == ARGV[2 + k] then
    records[k] = {unpack_from(formats[n], value, 2 * n + 1)}
  else
    others[#others + 1] = k
  end
  rates[k] = i
  i = i + 1 + 2 * n
end

if #others > 0 then
  -- Stored under other quotas: what is asked for is looked for, what the others hold is kept.
  local ticks = {[0] = 1000000, 600000, 360000, 864000, 1}
  local function adopt(value, tags, n)
    local quotas = (#value - 8) / 9
    if quotas % 1 ~= 0 or quotas < 1 then return nil end
    local held = {unpack_from('<' .. rep('I7', quotas) .. 'd', value, 2 * quotas + 1)}
    local used, extra = {}, {}
    for d = 1, n do used[d] = 0 end
    for c = 1, quotas do
      local tag, place = unpack_from('<I2', value, 2 * c - 1), nil
      if not ticks[tag % 8] or not (held[c] >= 0 and held[c] <= MOST) then return nil end
      for d = 1, n do
        local wanted = unpack_from('<I2', tags, 2 * d - 1)
        if wanted - wanted % 8 == tag - tag % 8 then
          place = d
          -- Under another window a unit is worth other ticks; in two steps, to stay exact.
          local from, to = ticks[tag % 8], ticks[wanted % 8]
          if from ~= to then
            local rest = held[c] % from
            held[c] = min(MOST, (held[c] - rest) / from * to + math.ceil(rest * to / from))
          end
          used[d] = held[c]
        end
      end
      if not place and held[c] > 0 then extra[#extra + 1] = {string.sub(value, 2 * c - 1, 2 * c), held[c]} end
    end
    used[n + 1] = held[quotas + 1]
    return used, extra
  end
  for _, k in ipairs(others) do
    records[k], extras[k] = adopt(stored[k], ARGV[2 + k], numbers[rates[k]])
  end
end

for k = 1, count do
  local used, rate = records[k], rates[k]
  if used and stored[k] then
    local n = numbers[rate]
    local at = used[n + 1]
    if not (at >= 0 and at <= MOST) then used = nil end
    -- A clock that was far ahead must not stop the bucket from refilling.
    if used and at > now + FAR_AHEAD then at = now end
    local step, steps = 0, 0
    for d = 1, used and n or 0 do
      local held = used[d]
      if not (held >= 0 and held <= MOST) then used = nil break end
      if held > 0 and now > at then
        if numbers[rate + 2 * d] ~= step then
          step = numbers[rate + 2 * d]
          -- Steps are those of the clock.
          steps = (now - now % step - at + at % step) / step
        end
        local back = steps * numbers[rate + 2 * d - 1]
        used[d] = back < held and held - back or 0
      end
    end
    if used then used[n + 1] = now > at and now or at end
    records[k] = used
  end
end

local leases = i - 1 - count
i = i + #KEYS - count
local answer, changed, size = {now}, {}, 1
while numbers[i + 3] do
  local what, times, permit, keys = numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]
  local per, place = what == TAKE and 2 or 4, size + 1
  local j, a = i + 4, place
  for _ = 1, keys do
    local key = numbers[j]
    local used, n = records[key], 1
    if key <= count then
      n = numbers[rates[key]]
      if not used then times = BROKEN end
    else
      local held = redis.pcall('ZCOUNT', KEYS[key], string.format('(%.0f', now), '+inf')
      if type(held) == 'table' then
        if not string.find(held.err, 'WRONGTYPE', 1, true) then error(held.err) end
        times, held = BROKEN, 0
      end
      used = {held}
    end
    j = j + 1
    for d = 1, n do
      local held, cost = used and used[d] or 0, numbers[j]
      a = a + 1
      answer[a] = held
      if what == TAKE and cost > 0 and times ~= BROKEN then
        local room = numbers[j + 1] - held
        -- Whole times that it fits, if it fits at all.
        if room < cost * times then times = max(0, (room - room % cost) / cost) end
      end
      j = j + per
    end
  end
  size, answer[place] = a, times
  if times > 0 and times ~= BROKEN then
    local j, a = i + 4, place
    for _ = 1, keys do
      local key = numbers[j]
      j = j + 1
      if key <= count then
        local used = records[key]
        for d = 1, numbers[rates[key]] do
          a = a + 1
          local before = answer[a]
          local after = before
          if what == TAKE then
            after = before + numbers[j] * times
          else
            after = max(before, numbers[j])
            after = min(MOST, max(0, min(after + numbers[j + 1], max(numbers[j + 3], after)) - numbers[j + 2]))
          end
          if after ~= before then used[d], changed[key] = after, true end
          j = j + per
        end
      else
        a = a + 1
        local slots, lease = KEYS[key], numbers[leases + key]
        local member = string.sub(ARGV[2], 8 * permit + 1, 8 * permit + 8)
        if what == TAKE and numbers[j] > 0 then
          redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
          redis.call('ZADD', slots, now + lease * 1000, member)
        elseif what == RENEW and numbers[j + 1] > 0 then
          -- Also when the lease is over: its holder lives.
          redis.call('ZADD', slots, now + lease * 1000, member)
        elseif what == RELEASE then
          redis.call('ZREM', slots, member)
        end
        if redis.call('PTTL', slots) < lease then redis.call('PEXPIRE', slots, lease + 1000) end
        j = j + per
      end
    end
  end
  i = j
end

for k in pairs(changed) do
  local used, tags, rate = records[k], ARGV[2 + k], rates[k]
  local n, longest = numbers[rate], 0
  local at = used[n + 1]
  for d = 1, n do
    local held = used[d]
    if held > 0 then
      local back = numbers[rate + 2 * d - 1]
      -- At most a step too much.
      local full = back > 0 and (held / back + 1) * numbers[rate + 2 * d] or TEN_YEARS
      if full > longest then longest = full end
    end
  end
  for _, other in ipairs(extras[k] or {}) do
    -- How fast the others refill is not known, only that they were kept for long enough.
    longest = max(longest, redis.call('PTTL', KEYS[k]) * 1000)
    tags = tags .. other[1]
    table.insert(used, n + 1, other[2])
    n = n + 1
  end
  if longest == 0 then
    redis.call('DEL', KEYS[k])
  else
    used[n + 1] = at
    local value = tags .. pack(formats[n] or '<' .. rep('I7', n) .. 'd', unpack(used, 1, n + 1))
    -- A full bucket is an absent one: it may expire once it is full, and a second later.
    local lasts = at - now + min(longest, TEN_YEARS)
    redis.call('SET', KEYS[k], value, 'PX', (lasts - lasts % 1000) / 1000 + 1001)
  end
end
return pack('<' .. rep('d', size), unpack(answer, 1, size))
