-- Takes, each from one bucket that no other act of the call is about: the short way for what is asked most. It does
-- what script.lua does. Where anything else is stored than these quotas left there, it does nothing at all and
-- answers nothing, and script.lua is asked.
--
-- A template: takes.rs writes it once for each number of quotas, because locals cost less than tables. `QUOTAS` is
-- that number and `BYTES` that of the bytes of tags. Of what is marked by @, a list in parentheses is written with
-- 1, 2, ... in the place of each other @, a format in brackets as often without a comma, and any other line as often.
--
-- KEYS: records, as in script.lua.
-- ARGV: for each record, as doubles: times, and for each quota its cost and the ticks there may be. Times below zero
--       are so many above, and say that rates follow: tags, and for each quota the ticks a step gives back and the
--       microseconds of a step. The others have the rates of the record before.
-- Answer: as that of script.lua.
local pack, unpack_from, call = struct.pack, struct.unpack, redis.call
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local MOST, TEN_YEARS = 9007199254740991, 315360000000000
local input, place = ARGV[1], 1
local stored = call('MGET', unpack(KEYS))
-- With room for one record: a table that grows costs more than one that need not.
local answer, size, values, lasts = {now, 0, @(0)}, 1, {false}, {false}
local tags, @(back@, step@, now@, tick@)

for k = 1, #KEYS do
  local value, own, at, times, @(used@, cost@, most@) = stored[k]
  times, @(cost@, most@), place = unpack_from('<d@[dd]', input, place)
  if times < 0 then
    times = -times
    tags, @(back@, step@), place = unpack_from('<cBYTES@[dd]', input, place)
    -- When the step began, and how long a tick takes to come back: what never does is cut off below.
    now@, tick@ = now - now % step@, step@ / back@
  end
  if value then
    if #value ~= 8 + 9 * QUOTAS then return '' end
    own, @(used@), at = unpack_from('<cBYTES@[I7]d', value)
    if own ~= tags or not (at >= 0 and at <= now) then return '' end
    if used@ > MOST then return '' end
    used@ = used@ - (now@ - at + at % step@) / step@ * back@
    if used@ < 0 then used@ = 0 end
  else
    @(used@) = @(0)
  end
  answer[size + 1 + @] = used@
  -- Whole times that it fits, if it fits at all.
  local room@ = most@ - used@
  if room@ < cost@ * times and cost@ > 0 then times = room@ > 0 and (room@ - room@ % cost@) / cost@ or 0 end
  answer[size + 1] = times
  size = size + 1 + QUOTAS
  if times > 0 then
    local longest = 0
    used@ = used@ + cost@ * times
    -- At most a step too much.
    if used@ * tick@ + step@ > longest then longest = used@ * tick@ + step@ end
    if longest > TEN_YEARS then longest = TEN_YEARS end
    lasts[k] = (longest - longest % 1000) / 1000 + 1001
    values[k] = pack('<cBYTES@[I7]d', tags, @(used@), now)
  end
end

-- Nothing is written before everything was read.
for k = 1, #KEYS do
  if values[k] then call('SET', KEYS[k], values[k], 'PX', lasts[k]) end
end
local format = #KEYS == 1 and '<dd@[d]' or '<' .. string.rep('d', size)
return pack(format, unpack(answer))
