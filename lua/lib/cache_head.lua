-- An entry's version and marks, which never take more bytes than this, without its value.
local function read_head(key)
  return redis.call("GETRANGE", key, 0, 159)
end
