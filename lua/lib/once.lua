-- A repeated request gets the first outcome. Only outcomes that changed something are kept: a refused request changed
-- nothing and may be judged again.
--- @include lib/first_outcome

local function keep_outcome(reply)
  if ARGV[2] ~= "" then
    redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], reply }), "PX", ARGV[3])
  end
  return reply
end
