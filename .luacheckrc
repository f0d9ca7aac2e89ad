std = "lua51"
read_globals = { "redis", "KEYS", "ARGV", "cmsgpack", "struct", "bit", "cjson" }
max_line_length = 120
-- A piece binds all keys of a topic; no script needs every one of them.
ignore = { "211/messages", "211/ready", "211/delayed", "211/inflight", "211/settings", "211/due", "211/urgent",
  "211/expiring", "211/line", "211/busy", "211/seen", "211/ghosts", "211/takers", "211/sessions", "211/dead",
  "211/flow", "211/topic" }
