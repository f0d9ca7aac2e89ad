-- The topic that the pieces for topics work on, where a script has several of them (see lib/topic for what the keys
-- hold). `own` has `part`, the place of its first key.
local messages, ready, delayed, inflight, settings, urgent, expiring, line, busy, seen, ghosts, takers, flow
local packed_settings, topic
local function turn_to(own)
  local at = own.part
  messages, ready, delayed, inflight, settings = KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]
  urgent, expiring, line, busy, seen = KEYS[at + 5], KEYS[at + 6], KEYS[at + 7], KEYS[at + 8], KEYS[at + 9]
  ghosts, takers, flow = KEYS[at + 10], KEYS[at + 11], KEYS[at + 12]
  if not own.topic then
    own.packed_settings = redis.call("GET", settings)
    own.topic = own.packed_settings and cmsgpack.unpack(own.packed_settings) or {}
  end
  packed_settings, topic = own.packed_settings, own.topic
end
