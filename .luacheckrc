std = "lua51"
read_globals = { "redis", "KEYS", "ARGV", "cmsgpack", "struct", "bit", "cjson" }
max_line_length = 120
