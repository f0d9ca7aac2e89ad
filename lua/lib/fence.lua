-- First act of every script, but for those that read the fence together with what they need anyway.
local installed = redis.call("GET", KEYS[1])
--- @include lib/fence_compare
