-- Keeps the name of a key. Call before a key is written. One that is there has its name kept already.
--- @include lib/names_kept
local function keep_name(names, key)
  if names_are_kept and redis.call("EXISTS", key) == 0 then
    -- `...:cache:<name>` beside `...:names`
    redis.call("ZADD", names, 0, string.sub(key, #names + 2))
  end
end
