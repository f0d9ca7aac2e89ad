-- The outcome of a request for several locks also tells whom it was granted through, for only that caller takes it back
-- (see lock.withdraw_all): {OK, 0, tokens, caller}.
local function keep_grant(reply, caller)
  if ARGV[2] ~= "" then
    local kept = {}
    for at, value in ipairs(reply) do
      kept[at] = value
    end
    kept[#kept + 1] = caller
    redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], kept }), "PX", ARGV[3])
  end
end
