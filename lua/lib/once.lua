-- A repeated request gets the first outcome. The fingerprint covers the whole request, so one id on two different
-- requests is told apart from a retry. Only outcomes that changed something are kept: a refused request changed
-- nothing and may be judged again.
-- Replies: REQUEST_ID_REUSED
local first_outcome
if ARGV[2] ~= "" then
  local kept = redis.call("GET", KEYS[2])
  if kept then
    kept = cmsgpack.unpack(kept)
    if kept[1] ~= ARGV[2] then
      return { REQUEST_ID_REUSED }
    end
    first_outcome = kept[2]
  end
end

local function keep_outcome(reply)
  if ARGV[2] ~= "" then
    redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], reply }), "PX", ARGV[3])
  end
  return reply
end
