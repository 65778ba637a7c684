-- Counts the distinct queries of one call in all buckets, or in none, as `MemoryQueryLedger` of the privacy crate does.
--
-- KEYS: five for each bucket: what is known of it (hash), its digests (set), two HyperLogLogs, its last sketches (a
--       string of slots of eight bytes).
-- ARGV: queries, 32 bytes each: digest, sketch (zero is none), the numbers of the four slots of the sketch; the
--       difference up to which sketches are near; digests that are kept exactly; and for each bucket its hard
--       limit and the millisecond at which its keys end.
-- Answer: whether it is refused; and for each bucket the distinct queries, whether they are exact, repeats, near and
--         new ones of this call, repeats and near ones of all.
local call, unpack_from, band, rshift = redis.call, struct.unpack, bit.band, bit.rshift
local NEAR, EXACT = tonumber(ARGV[2]), tonumber(ARGV[3])
local NONE = string.rep('\0', 8)

local queries = {}
for at = 1, #ARGV[1], 32 do
  local digest, sketch, a, b, c, d = unpack_from('<c16c8HHHH', ARGV[1], at)
  queries[#queries + 1] = {digest = digest, sketch = sketch, slots = {a, b, c, d}}
end

local function ones(x)
  x = x - band(rshift(x, 1), 0x55555555)
  x = band(x, 0x33333333) + band(rshift(x, 2), 0x33333333)
  x = band(x + rshift(x, 4), 0x0f0f0f0f)
  x = x + rshift(x, 8)
  return band(x + rshift(x, 16), 0x3f)
end

-- `of_call` has the slots that queries before this one of the call will fill.
local function is_near(key, of_call, query)
  if query.sketch == NONE then return false end
  local low, high = unpack_from('<I4I4', query.sketch)
  for _, slot in ipairs(query.slots) do
    local other = of_call[slot] or call('GETRANGE', key, slot * 8, slot * 8 + 7)
    if #other == 8 and other ~= NONE then
      local other_low, other_high = unpack_from('<I4I4', other)
      if ones(bit.bxor(low, other_low)) + ones(bit.bxor(high, other_high)) <= NEAR then return true end
    end
  end
  return false
end

-- The mean of two estimates that know nothing of each other.
local function estimate(bucket)
  return (call('PFCOUNT', bucket.one) + call('PFCOUNT', bucket.other)) / 2
end

local function distinct(bucket)
  if not bucket.before then return bucket.known end
  return EXACT + math.floor(estimate(bucket) - bucket.before + 0.5)
end

local function read(at)
  local key = at * 5
  local bucket = {facts = KEYS[key - 4], digests = KEYS[key - 3], one = KEYS[key - 2], other = KEYS[key - 1],
    sketches = KEYS[key], hard = tonumber(ARGV[2 + at * 2]), ends = ARGV[3 + at * 2], repeats = 0, near = 0, new = 0}
  local facts = call('HMGET', bucket.facts, 'repeats', 'near', 'before')
  bucket.is_fresh, bucket.before = not facts[1], tonumber(facts[3] or nil)
  bucket.all_repeats, bucket.all_near = tonumber(facts[1] or 0), tonumber(facts[2] or 0)
  bucket.known = call('SCARD', bucket.digests)
  local digests_of_call, slots_of_call = {}, {}
  for _, query in ipairs(queries) do
    if digests_of_call[query.digest] or call('SISMEMBER', bucket.digests, query.digest) == 1 then
      bucket.repeats = bucket.repeats + 1
    else
      local kind = is_near(bucket.sketches, slots_of_call, query) and 'near' or 'new'
      bucket[kind] = bucket[kind] + 1
      digests_of_call[query.digest] = true
      for _, slot in ipairs(query.slots) do slots_of_call[slot] = query.sketch end
    end
  end
  bucket.distinct = distinct(bucket)
  return bucket
end

local function add(bucket, query)
  if call('SISMEMBER', bucket.digests, query.digest) == 1 then return end
  if bucket.known < EXACT then
    bucket.known = bucket.known + 1
  else
    if not bucket.before then
      bucket.before = estimate(bucket)
      call('HSET', bucket.facts, 'before', string.format('%.1f', bucket.before))
    end
    call('SPOP', bucket.digests)
  end
  call('SADD', bucket.digests, query.digest)
  call('PFADD', bucket.one, query.digest)
  call('PFADD', bucket.other, string.reverse(query.digest))
  if query.sketch ~= NONE then
    bucket.has_sketch = true
    for _, slot in ipairs(query.slots) do call('SETRANGE', bucket.sketches, slot * 8, query.sketch) end
  end
end

local function write(bucket)
  local had_none = bucket.known == 0
  for _, query in ipairs(queries) do add(bucket, query) end
  bucket.all_repeats = call('HINCRBY', bucket.facts, 'repeats', bucket.repeats)
  bucket.all_near = call('HINCRBY', bucket.facts, 'near', bucket.near)
  bucket.distinct = distinct(bucket)
  if bucket.is_fresh then call('PEXPIREAT', bucket.facts, bucket.ends) end
  if had_none then
    for _, key in ipairs({bucket.digests, bucket.one, bucket.other}) do call('PEXPIREAT', key, bucket.ends) end
  end
  if bucket.has_sketch then call('PEXPIREAT', bucket.sketches, bucket.ends) end
end

local buckets, is_refused = {}, 0
for at = 1, #KEYS / 5 do
  local bucket = read(at)
  buckets[at] = bucket
  local cost = bucket.near + bucket.new
  if cost > 0 and bucket.distinct + cost > bucket.hard then is_refused = 1 end
end
local answer = {is_refused}
for _, bucket in ipairs(buckets) do
  if is_refused == 0 then write(bucket) end
  for _, number in ipairs({bucket.distinct, bucket.before and 0 or 1, bucket.repeats, bucket.near, bucket.new,
    bucket.all_repeats, bucket.all_near}) do
    answer[#answer + 1] = number
  end
end
return answer
