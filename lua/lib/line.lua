-- The lock, and its line, that a script hands over: KEYS[3] to KEYS[10] of each that hands over one. What takes keys as
-- arguments comes before, so that these names shadow nothing.
--- @include lib/granted
--- @include lib/hold
--- @include lib/now
--- @include lib/reader
--- @include lib/shared_hold
--- @include lib/waiter
local tokens, lock, readers, reader_holds = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local waiters, waiter_info, sessions, granted = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
