-- The lock, and its line, that a script hands over: KEYS[3] to KEYS[10] of each that hands over one. What takes keys as
-- arguments comes before, so that these names shadow nothing.
--- @include lib/detail
--- @include lib/granted
--- @include lib/held
--- @include lib/leave_line
--- @include lib/new_record
--- @include lib/now
--- @include lib/permits
--- @include lib/reader
--- @include lib/waiter
--- @include lib/write_hold
local tokens, lock, readers, reader_holds = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local waiters, waiter_info, sessions, granted = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
