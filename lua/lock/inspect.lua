--- lock.inspect: who holds a resource now.
-- Promises: changes nothing; holders whose lease ended are not shown.
-- KEYS:
--   1 fence: the partition's fence
--   2 lock: the hold, a string (see lib/hold)
--   3 readers: owners of shared holds by end of lease, a sorted set
--   4 reader_holds: token and lease of each shared hold, a hash
--   5 waiters: those who wait, in order, a sorted set
--   6 waiter_info: what is known of each that waits, a hash (see lib/waiter)
-- ARGV:
--   1 fence: generation.script_set of the caller
-- Replies:
--   OK mode count [owner token expires_in_ms] waiters [owner mode] [about]: count of all holders, up to 100 of them, the
--     same of those who wait, in order; mode is empty when free; what there is to say about the holders is told in
--     lib/holders
-- Complexity: O(log h + log w) with h holders and w who wait
-- Retry: read-only
--- @include lib/fence
--- @include lib/holders
--- @include lib/waiter
local waiters, waiter_info = KEYS[5], KEYS[6]
local out, about = describe_holders(OK, KEYS[2], KEYS[3], KEYS[4], waiters)
for _, waiter in ipairs(redis.call("ZRANGE", waiters, 0, 99)) do
  local _, mode, _, _, owner = parse_waiter(redis.call("HGET", waiter_info, waiter))
  out[#out + 1] = owner
  out[#out + 1] = mode
end
for _, value in ipairs(about) do
  out[#out + 1] = value
end
return out
