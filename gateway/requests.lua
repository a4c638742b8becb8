-- The checks of a request from outside, when its body is whole: bounds of its headers, the framing of gRPC, the gate.
--
-- One script makes all of them, because each script costs a request a coroutine of its own, and that more than the checks.
-- `max_header_bytes`, `max_headers`, `conversations` and `refusals` stand before this text (gateway/gate.py).

local function are_bounded(headers)
  local size, count = 0, 0
  for name, value in pairs(headers) do
    size, count = size + #name + #value, count + 1
  end
  return size <= max_header_bytes and count <= max_headers
end

-- Return the cookies that are UTF-8: another program of the same domain may have set the others, and hides none of ours.
local function readable_cookies(value)
  return (value:gsub("[^;]+", function(cookie) return is_text(cookie) and cookie or "" end))
end

-- Take off headers that are no UTF-8: gRPC in Python writes a traceback for each, and reads no text in them. The edge's own
-- checks of paths and queries see the headers of HTTP/2 that begin with a colon.
local function clear_unreadable(headers)
  local unreadable = {}
  for name, value in pairs(headers) do
    if name:sub(1, 1) ~= ":" and not is_text(value) then unreadable[#unreadable + 1] = name end
  end
  for _, name in ipairs(unreadable) do
    local cookies = name == "cookie" and readable_cookies(headers:get(name))
    if cookies then headers:replace(name, cookies) else headers:remove(name) end
  end
end

-- Take off headers of gRPC for which a service would end its connection to us, and with it others' calls.
local function clear_timeout(headers)
  local timeout = headers:get("grpc-timeout")
  if timeout and (not timeout:find("^%d+[HMSm]$") or #timeout > 9 or not timeout:find("[1-9]")) then
    headers:remove("grpc-timeout")
  end
end

-- Tell whether a body is one message, without which gRPC in Python would wait in vain.
local function is_one_message(handle, encoding)
  local body = handle:body()
  if not body or body:length() < 5 then return false end
  local flag, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  -- A compressed message could unpack to a thousand times its size before gRPC counts it.
  return flag == 0 and encoding == "identity" and ((a * 256 + b) * 256 + c) * 256 + d == body:length() - 5
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local is_grpc = ((headers:get("content-type") or "") .. ";"):find("^application/grpc[-+;]")
  if not are_bounded(headers) then
    local refusal = refusals.headers
    if is_grpc then handle:respond(refusal.grpc) else handle:respond(refusal.rest, refusal.text) end
    return
  end
  clear_unreadable(headers)
  -- A CONNECT has no path.
  local path, query = (headers:get(":path") or ""):match("^([^?]*)%??(.*)$")
  -- The wait for a body ends the life of the headers: all that is read of them is read before.
  local method, root = headers:get(":method"), path:match("^/([^/]*)")
  -- Without it a service resets the stream, one of a conversation, too.
  if is_grpc then headers:replace("te", "trailers") end
  if not conversations[root] then
    clear_timeout(headers)
    if is_grpc then
      if not is_one_message(handle, headers:get("grpc-encoding") or "identity") then handle:respond(refusals.framing.grpc) end
    else
      headers:remove("grpc-timeout")
      headers:remove("grpc-encoding")
    end
  end
  gate(handle, method, path, query, root)
end
