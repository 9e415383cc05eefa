-- What wrk sends for bench/router, and how it reports: one line of JSON, times in µs.
--
--   wrk ... -s wrk.lua URL -- HEAD [BODY_BYTES]
--
-- HEAD: bare     Host only
--       browser  what a current browser sends
--       varied   the same, but query, cookie, referer and tracing fields differ in every request
--       close    as browser, and a connection for each request

local kind, fixed, serial, template

local function browser()
  return {
    ["Host"] = "bench.example",
    ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8",
    ["Accept-Encoding"] = "gzip, deflate, br, zstd",
    ["Cache-Control"] = "max-age=0",
    ["Connection"] = "keep-alive",
    ["Cookie"] = "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1",
    ["Referer"] = "http://bench.example/api/list?page=1",
    ["Sec-Ch-Ua"] = '"Chromium";v="138", "Not)A;Brand";v="8"',
    ["Sec-Ch-Ua-Mobile"] = "?0",
    ["Sec-Ch-Ua-Platform"] = '"Linux"',
    ["Sec-Fetch-Dest"] = "document",
    ["Sec-Fetch-Mode"] = "navigate",
    ["Sec-Fetch-Site"] = "same-origin",
    ["Upgrade-Insecure-Requests"] = "1",
  }
end

function init(args)
  kind = args[1]
  serial = math.random(1, 1000) * 1000000
  local headers = kind == "bare" and { ["Host"] = "bench.example" } or browser()
  if kind == "close" then
    headers["Connection"] = "close"
  end
  if kind == "varied" then
    wrk.path = wrk.path .. "?n=@@@"
    headers["Cookie"] = "session=8f14e45fceea167a5a36dedd4bea@@@; theme=dark; seen=@@@"
    headers["Referer"] = "http://bench.example/api/list?page=@@@"
    headers["Traceparent"] = "00-0af7651916cd43dd8448eb21@@@-00f067aa@@@-01"
  end
  local size = tonumber(args[2] or "0")
  local body = size > 0 and string.rep("x", size) or nil
  fixed = wrk.format(body and "POST" or "GET", nil, headers, body)
  template = kind == "varied" and split(fixed, "@@@")
end

function split(text, mark)
  local parts, from = {}, 1
  while true do
    local first, last = text:find(mark, from, true)
    parts[#parts + 1] = text:sub(from, first and first - 1)
    if not first then
      return parts
    end
    from = last + 1
  end
end

function request()
  if not template then
    return fixed
  end
  serial = serial + 1
  return table.concat(template, string.format("%08x", serial))
end

function done(summary, latency)
  local failed = summary.errors
  local errors = failed.connect + failed.read + failed.write + failed.status + failed.timeout
  io.write(string.format(
    '\n{"requests": %d, "errors": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, errors, summary.duration, latency:percentile(50), latency:percentile(99)))
end
