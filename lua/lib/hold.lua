-- A lock's key holds one string: a letter for the mode, two numbers, a digit, and the owner of an exclusive hold. Its
-- expiry in Redis is the end of the lease (of the last lease, when there are several), so a free lock is an absent key
-- and the path of an uncontended lock reads no clock.
--   x<token> <ttl_ms> <digit> <owner>  exclusive; digit 1: reader_holds has more of it, under its owner (lib/record)
--   s0 0 0                             shared
--   p<taken> <limit> 0                 a semaphore: permits taken, also by ended holds that are not cleared away
-- The holds of a shared lock and of a semaphore stand beside it: owners by end of lease in the sorted set `readers`,
-- the rest in the hash `reader_holds`. Layout 1 has x and s, and where it has digit 1 there is no record: a plain hold.
-- Returns mode; of an exclusive hold token, ttl_ms, owner, and whether there is more; of a semaphore taken and limit.
local function parse_hold(hold)
  local letter, first, second, digit, owner = string.match(hold, "^(%l)(%d+) (%d+) (%d) (.*)$")
  local mode = letter == "x" and "exclusive" or letter == "s" and "shared" or "semaphore"
  return mode, first, second, owner, digit == "1"
end
