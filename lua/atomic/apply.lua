--- atomic.apply: check locks, acknowledge and publish messages, write and remove cache values, in one step.
-- Promises: all operations are done, or none: every check of every operation comes before the first write. The first
--   operation in the list that something stands against is named, and then nothing has changed.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 versions: cache version counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   5 due: of the partition: when a topic has something to be tended at the earliest, a sorted set
--   6 sessions: sessions of nodes with parked requests by their end, a sorted set
--   7+ part: the keys of what the operations are about: of a lock 3 (lock, readers, reader_holds), of a topic 13 (as
--     in lib/group_topic), of a cache key 1, and when it is put also that of the names of keys and one for each tag
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 channel: where near caches listen
--   5+ operation: as lib/group_operation has them; no message and no cache key twice
--   6+ payload: of a message or a cache value, opaque bytes; empty for the others
-- Replies:
--   OK [result]: for each operation: check and ack 1; publish 1, or 0 when its id is in the topic already; put the new
--     version; invalidate 1, or 0 when there was no value
--   LOCK_LOST index: operations are counted from 0; no hold with this token (and owner) runs
--   LOCK_IS_SHARED index mode: a token alone does not find a hold of it
--   LOCK_QUARANTINE index left_ms: Redis lost data, and the token is from before
--   RECEIPT_EXPIRED index: the visibility timeout passed, or the delivery was given back
--   RECEIPT_SUPERSEDED index: the message was delivered again since, or Redis lost data
--   ALREADY_ACKED index: there is no such message
--   TOPIC_SUBSCRIBED index: the topic has subscriptions, and a group does not publish to those
--   TOPIC_FULL index length: the topic has so many messages, and takes no more than those acknowledged here make room for
--   TOPIC_PAUSED index: nothing may be published for now
--   VERSION_MISMATCH index version: the key has this version, 0 = it does not exist
-- Complexity: O(n log m) with n operations, at most 16, on sets of m; wakes at most 1000 consumers a topic
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
if first_outcome then
  return first_outcome
end
--- @include lib/cache_condition
--- @include lib/cache_count
--- @include lib/cache_remove
--- @include lib/cache_tag
--- @include lib/cache_write
--- @include lib/check_hold
--- @include lib/counter
--- @include lib/keep_name
--- @include lib/group_operation
local now_ms = redis_now_ms()
local quarantine, due, sessions = KEYS[4], KEYS[5], KEYS[6]
--- @include lib/group_topic
--- @include lib/admit
--- @include lib/delivered
--- @include lib/delivery
--- @include lib/special
--- @include lib/store

-- Topics by the place of their first key, in the order of the list: what is taken out of each and what goes in.
local operations, topics, in_order, counts_versions = {}, {}, {}, false
local function topic_of(asked)
  local own = topics[asked.part]
  if not own then
    own = { part = asked.part, acks = {}, publishes = {}, present = {} }
    topics[asked.part] = own
    in_order[#in_order + 1] = own
  end
  return own
end

for at = 5, #ARGV, 2 do
  local asked = parse_operation(ARGV[at], ARGV[at + 1])
  operations[#operations + 1] = asked
  if asked.act == "ack" then
    table.insert(topic_of(asked).acks, asked)
  elseif asked.act == "publish" then
    table.insert(topic_of(asked).publishes, asked)
  end
end

local checks = {}

function checks.check(asked)
  local part = asked.part
  return check_hold(KEYS[part], KEYS[part + 1], KEYS[part + 2], quarantine, asked.owner, asked.token)
end

function checks.ack(asked)
  turn_to(topic_of(asked))
  local code, delivered = judge_delivery(messages, inflight, asked.id, asked.delivery, asked.generation)
  asked.delivered = delivered
  return code ~= OK and { code } or nil
end

-- Once for all that the group publishes to a topic, less what it takes out of it.
function checks.publish(asked)
  local own = topic_of(asked)
  if not own.excess then
    turn_to(own)
    if topic.subscriptions then
      return { TOPIC_SUBSCRIBED }
    end
    local refusal, excess = admit(#own.publishes, function(number)
      return own.publishes[number].id
    end, own.present, #own.acks)
    own.excess = excess
    return refusal
  end
end

function checks.put(asked)
  counts_versions = true
  local against = version_against(KEYS[asked.part], asked.if_version)
  return against and { VERSION_MISMATCH, against } or nil
end

function checks.invalidate()
  counts_versions = true
end

for number, asked in ipairs(operations) do
  local refusal = checks[asked.act](asked)
  if refusal then
    table.insert(refusal, 2, number - 1)
    return refusal
  end
end
if counts_versions and counter_is_lost then
  return { FENCE_MISSING }
end

for _, own in ipairs(in_order) do
  turn_to(own)
  for _, asked in ipairs(own.acks) do
    local _, _, key = parse_delivered(asked.delivered)
    redis.call("ZREM", inflight, asked.id)
    erase(asked.id, key)
  end
  for _, asked in ipairs(own.publishes) do
    if asked.option then
      mark_special()
    end
  end
  drop_oldest(own.excess or 0)
  for at, asked in ipairs(own.publishes) do
    local id = asked.id
    asked.result = own.present[id] and 0 or store(id, asked.delay_ms, asked.payload, asked.option, at)
  end
  if packed_settings then
    wake_takers()
  end
end

local function put(asked)
  local part = asked.part
  keep_name(KEYS[part + 1], KEYS[part])
  local version, numeral = next_version()
  write_entry(KEYS[part], numeral, numeral .. " " .. asked.payload, asked.ttl_ms, ARGV[4])
  for at = part + 2, part + 1 + asked.tags do
    give_tag(KEYS[at], asked.name, numeral, asked.ttl_ms)
  end
  return version
end

local reply = { OK }
for number, asked in ipairs(operations) do
  if asked.act == "put" then
    asked.result = put(asked)
  elseif asked.act == "invalidate" then
    asked.result = remove_entry(KEYS[asked.part], ARGV[4])
  end
  reply[number + 1] = asked.result or 1
end
return keep_outcome(reply)
