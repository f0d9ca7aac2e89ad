-- One request, the same every time: METHOD PATH [BODY]. wrk builds it once, so the script costs nothing.
require("report")

function init(args)
  wrk.method, wrk.path, wrk.body = args[1], args[2], args[3]
  wrk.headers["Content-Type"] = wrk.body and "application/json"
end
