-- From now on every script on this topic is sent all its keys.
local function mark_special()
  if not packed_settings then
    packed_settings = cmsgpack.pack({})
    redis.call("SET", settings, packed_settings)
  end
end
