-- The gate: refuses a REST request that names a field twice, or a field that its RPC does not have.
--
-- `bindings` and `types` come from the contract (gateway/gate.py) and stand before this text. The transcoder behind the gate
-- drops names that it does not know, and lets a query replace a variable of the path. The gate reads names only; the transcoder
-- and the services check values. JSON is read strictly, so that no reader behind the gate sees another document.

local MAX_DEPTH, MAX_VALUES, SHOWN = 32, 30000, 100

local function json_text(text)
  return (text:sub(1, SHOWN):gsub("[^%w_%.%-%[%]]", "?"))
end

-- A refusal travels as a table, so that it is told from a fault of this script.
local function refuse(name, description)
  error({name = json_text(name), description = description}, 0)
end

local function decoded(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end))
end

-- The characters of UTF-8 beyond ASCII. None of these sequences begins within another.
local UTF8 = {
  "[\194-\223][\128-\191]", "\224[\160-\191][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]",
  "\237[\128-\159][\128-\191]", "\240[\144-\191][\128-\191][\128-\191]",
  "[\241-\243][\128-\191][\128-\191][\128-\191]", "\244[\128-\143][\128-\191][\128-\191]",
}

-- Tell whether text is UTF-8 without U+0000, as the services require it. A stranger may send 96 KiB of it.
local function is_text(text)
  if text:find("\0", 1, true) then return false end
  if not text:find("[\128-\255]") then return true end
  for _, pattern in ipairs(UTF8) do text = text:gsub(pattern, "?") end
  return not text:find("[\128-\255]")
end

-- Return the verb behind the last colon of the last segment. As the transcoder reads it: a verb is one that a route of the contract
-- has, whichever route that is; any other colon belongs to the segment.
local function verb_of(path)
  local verb = path:match(":([^:/]*)$")
  return verb and verbs[verb] and verb or ""
end

-- `named` has the routes without variables by method and path, the lists of `bindings` those with variables by method.
local function binding_of(method, path, verb)
  local binding = named[method .. path]
  if binding and binding.verb == verb then return binding end
  for _, one in ipairs(bindings[method] or {}) do
    if one.verb == verb and path:find(one.pattern) then return one end
  end
end

-- Return the canonical path of a name in a query, such as "filter.tenant_ids", and whether it may come again.
local function resolved(type_name, name)
  local path, repeated, left = {}, false, type_name
  for part in (name .. "."):gmatch("([^.]*)%.") do
    -- Bytes and structures of Google's are read by the transcoder: their names are taken as they come. A time has none.
    local fields = left and types[left]
    local field = fields and fields[part]
    if fields and not field then return nil end
    path[#path + 1] = field and field.name or part
    repeated = repeated or (field and field.list)
    left = field and field.type
  end
  return table.concat(path, "."), repeated
end

-- No field of the contract has so long a name, nested ones included; every step below takes time with a name's length.
local MAX_NAME = 100

local function is_bound(bound, path)
  if bound[path] then return true end
  for outer in path:gmatch("()%.") do
    if bound[path:sub(1, outer - 1)] then return true end
  end
  return false
end

-- The longest filter has 1,000 tenants; the providers and browsers send a handful of parameters.
local MAX_PARAMETERS, MAX_PARAMETERS_OF_STRANGERS = 1500, 100

-- Return a name as it is shown, its canonical path, and whether it may come again.
local function looked_up(binding, raw)
  local name = decoded(raw)
  if not is_text(name) then refuse(name, "must be UTF-8 without U+0000") end
  local path, repeated
  if #name <= MAX_NAME then path, repeated = resolved(binding.type, name) end
  if path then
    if is_bound(binding.vars, path) then refuse(name, "is set by the path") end
    if binding.body ~= "" and binding.body ~= "*" and is_bound({[binding.body] = true}, path) then
      refuse(name, "is set by the body")
    end
  elseif binding.strict then
    refuse(name, "is not a field of this request")
  end
  return {shown = name, path = path, repeated = repeated}
end

local function read_query(binding, query, bound)
  local _, separators = query:gsub("&", "")
  if separators >= (binding.strict and MAX_PARAMETERS or MAX_PARAMETERS_OF_STRANGERS) then
    refuse("query", "has too many parameters")
  end
  local names = {}
  for pair in query:gmatch("[^&]+") do
    local raw, value = pair:match("^[^=]*"), pair:match("=(.*)") or ""
    if value:find("[^%w_.:-]") and not is_text(decoded(value)) then
      refuse(decoded(raw), "must be UTF-8 without U+0000")
    end
    -- The transcoder passes over a pair without a value, and the request would mean something else than it says.
    if binding.strict and not pair:find("=", 1, true) then refuse(decoded(raw), "has no value") end
    local name = names[raw] or looked_up(binding, raw)
    names[raw] = name
    if name.path then
      if bound[name.path] and not name.repeated then refuse(name.shown, "is set twice") end
      bound[name.path] = true
    end
  end
end

-- A reader of JSON: `at` is the position of the next character.
local Reader = {}
Reader.__index = Reader

function Reader:next()
  self.at = self.text:find("[^ \t\r\n]", self.at) or #self.text + 1
  return self.text:sub(self.at, self.at)
end

function Reader:malformed()
  refuse("body", "must be a JSON object")
end

function Reader:take(character)
  if self:next() ~= character then self:malformed() end
  self.at = self.at + 1
end

-- Return the position of the next backslash, which is sought once for all strings before it.
function Reader:escape(at)
  if self.backslash and self.backslash < at then self.backslash = self.text:find("\\", at, true) end
  return self.backslash or math.huge
end

function Reader:string()
  self:take('"')
  local from, at = self.at, self.at
  local quote = self.text:find('"', at, true)
  while quote and self:escape(at) < quote do
    at = self.backslash + 2
    if at > quote then quote = self.text:find('"', at, true) end
  end
  if not quote then self:malformed() end
  self.at = quote + 1
  return self.text:sub(from, quote - 1)
end

function Reader:scalar()
  local word = self.text:match("^[%w+%-.]+", self.at)
  if not word or not (word == "true" or word == "false" or word == "null" or word:find("^%-?%d")) then self:malformed() end
  self.at = self.at + #word
end

-- Read the members between two brackets; `member` reads one.
function Reader:members(open, close, depth, member)
  if depth > MAX_DEPTH then refuse("body", "is nested too deeply") end
  self:take(open)
  if self:next() == close then self.at = self.at + 1; return end
  local index = 0
  repeat
    member(index)
    index = index + 1
    local character = self:next()
    self.at = self.at + 1
    if character ~= "," and character ~= close then self:malformed() end
  until character == close
end

-- Read a value. `type_name` is its message type, nil where any name is allowed; `path` is its place in the request. The transcoder
-- leaves a null out of a list of the contract, and the request would mean something else than it says.
function Reader:value(type_name, path, depth, is_list)
  self.values = self.values + 1
  if self.values > MAX_VALUES then refuse("body", "has too many values") end
  local character = self:next()
  if character == "{" then
    self:object(type_name, path, depth)
  elseif character == "[" then
    self:members("[", "]", depth, function(index)
      local here = path .. "[" .. index .. "]"
      if is_list and self:next() == "n" then refuse(here, "must not be null") end
      self:value(type_name, here, depth + 1)
    end)
  elseif character == '"' then
    self:string()
  else
    self:scalar()
  end
end

function Reader:object(type_name, path, depth)
  local fields, seen = type_name and types[type_name], {}
  self:members("{", "}", depth, function()
    if self:next() ~= '"' then self:malformed() end
    local name = self:string()
    self:take(":")
    if #name > MAX_NAME then refuse(name:sub(1, MAX_NAME), "is not a field of this request") end
    local here = path == "" and name or path .. "." .. name
    local field = fields and fields[name]
    if fields and not field then refuse(here, "is not a field of this request") end
    local canonical = field and field.name or name
    if seen[canonical] then refuse(here, "is set twice") end
    seen[canonical] = true
    local full = path == "" and canonical or path .. "." .. canonical
    -- The places around this one were looked up on the way in.
    if self.vars[full] then refuse(here, "is set by the path") end
    if self.bound[full] then refuse(here, "is set by the query") end
    self:value(field and field.type, full, depth + 1, field and field.list)
  end)
end

local function read_body(binding, text, bound)
  local reader = setmetatable({text = text, at = 1, backslash = 0, values = 0, vars = binding.vars, bound = bound}, Reader)
  if reader:next() == "" then return end
  if reader:next() ~= "{" then reader:malformed() end
  reader:value(binding.type, "", 1)
  if reader:next() ~= "" then reader:malformed() end
end

local function answer(handle, reply, name, description)
  handle:streamInfo():dynamicMetadata():set("mailmesh.gate", "refused", true)
  local text = reply.text:gsub("@name@", name or ""):gsub("@description@", description or "")
  handle:respond({
    [":status"] = reply.status, ["content-type"] = reply.content_type,
    ["x-content-type-options"] = "nosniff", ["cache-control"] = "no-store",
  }, text)
end

-- Ingest unpacks the providers' bodies; every other body is read right behind the gate, as it is.
local function is_packed(encoding, binding)
  encoding = (encoding or ""):lower()
  if encoding == "" or encoding == "identity" then return false end
  return binding.page or not (unpacked[encoding] and binding.body ~= "" and binding.body ~= "*")
end

local function check(handle, binding, path, query)
  if not is_text(decoded(path)) then refuse("path", "must be UTF-8 without U+0000") end
  if is_packed(handle:headers():get("content-encoding"), binding) then return replies.encoding end
  local bound = {}
  read_query(binding, query, bound)
  if binding.body ~= "*" and binding.body ~= "" then return end
  -- The transcoder merges a body into the message of every route that has no field for it.
  local body = handle:body()
  if not body or body:length() == 0 then return end
  if not binding.strict then refuse("body", "is not taken here") end
  read_body(binding, body:getBytes(0, body:length()), bound)
end

-- The first segments of the contract's paths. The transcoder never sees a path below them that the contract does not name:
-- it cannot know a route that the gate does not.
local ROOTS = {v1 = true, api = true, auth = true, [".well-known"] = true}

local function gate(handle, method, path, query, root)
  if not ROOTS[root] then return end
  local verb = verb_of(path)
  -- The transcoder ignores slashes at the end, too, and reads no verb before them.
  path = path:gsub("/+$", "")
  local binding = binding_of(method, path, verb)
  if not binding then
    if path ~= "/" .. root then answer(handle, replies.unknown) end
    return
  end
  local passed, outcome = pcall(check, handle, binding, path, query)
  if not passed and type(outcome) ~= "table" then
    -- A fault of this script refuses the request: Envoy itself would let it pass.
    handle:logErr("gate: " .. tostring(outcome))
    answer(handle, replies.fault)
  elseif outcome then
    answer(handle, outcome.text and outcome or (binding.page and replies.page or replies.field), outcome.name, outcome.description)
  end
end
