-- Refuse what a client is not granted: a model in the path of an HTTP request or in the messages of a gRPC call, `/score`.
--
-- `grants.py` puts the names of metadata and the grants before this text: `GRANTS[client]` is true, or the set of what
-- the client may ask for. Envoy lets a request pass where a script fails, hence `pcall`.
--
-- A model's name is field 1 of every message with which a gRPC client names a model, and encoders write it first.
-- protobuf takes the last of several, so the script looks at the head of each field, however the message is cut into
-- chunks. Envoy lets no script end a running call. So in place of a message that starts otherwise or names another model
-- the script sends a message that is none; where a second name comes later, it overwrites the rest of the message with
-- bytes that start no field. Triton refuses the call either way, and the client gets PERMISSION_DENIED. An invalid frame
-- would not do: gRPC may take it for an empty message, which asks for the statistics of all models.

collectgarbage("setpause", 1000) -- as in `json_guard.lua`

local match, byte, floor = string.match, string.byte, math.floor
local SERVICE = "/inference.GRPCInferenceService/Model"
local NO_FIELD = "\15" -- wire type 7
local NO_MESSAGE = "\0\0\0\0\1" .. NO_FIELD
local MOST_FIELDS = 10000 -- of one message; a request has two for each of its tensors
local LONGEST_NAME = 1024
local LONGEST_HEAD = 5 + 1 + 5 + LONGEST_NAME -- of a message: its frame's prefix, and the name's tag, length and text
local VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
local UNREADABLE = "the message cannot be read; expected one that starts with the model's name"
local REPEATED = "the message names its model twice"

local function not_granted(client, what)
  return "the client '" .. client .. "' is not granted " .. what
end

local function the_model(name)
  return "the model '" .. name:sub(1, 100):gsub("[^%w_.%-]", "?") .. "'"
end

-- A number of protobuf at `position` of a text, and the position after it; nil where the text ends within it, and false
-- where it is too long for a length.
local function number(text, position)
  local value, factor = 0, 1
  for at = position, position + 4 do
    local part = byte(text, at)
    if not part then return nil end
    value, factor = value + (part % 128) * factor, factor * 128
    if part < 128 then return value, at + 1 end
  end
  return false
end

-- The head of a message in its frame: the bytes of the head and of the message, or false and what is wrong; nil where
-- the text ends within it.
local function head(text, client, grants)
  local packed, a, b, c, d, tag = byte(text, 1, 6)
  if not d then return nil end
  local size = ((a * 256 + b) * 256 + c) * 256 + d
  if packed ~= 0 or size < 2 then return false, UNREADABLE end
  if not tag then return nil end
  if tag ~= 8 + BYTES then return false, UNREADABLE end
  local length, from = number(text, 7)
  if length == nil then return nil end
  if length == false or length > LONGEST_NAME or from - 6 + length > size then return false, UNREADABLE end
  if #text < from - 1 + length then return nil end
  local name = text:sub(from, from - 1 + length)
  if not grants[name] then return false, not_granted(client, the_model(name)) end
  return from - 1 + length, size + 5
end

-- The bytes of a field's head, and those of its content; false and what is wrong; nil where the text ends within it.
local function field(text)
  local tag = byte(text, 1)
  if not tag then return nil end
  local kind, id = tag % 8, floor(tag / 8)
  if tag > 127 or id == 0 then return false, UNREADABLE end
  if id == 1 then return false, REPEATED end
  if kind == FIXED64 then return 1, 8 end
  if kind == FIXED32 then return 1, 4 end
  if kind == BYTES then
    local size, from = number(text, 2)
    if size == nil then return nil end
    if size == false then return false, UNREADABLE end
    return from - 1, size
  end
  if kind ~= VARINT then return false, UNREADABLE end
  for at = 2, 11 do
    local part = byte(text, at)
    if not part then return nil end
    if part < 128 then return at, 0 end
  end
  return false, UNREADABLE
end

-- A function that takes the chunks of a call, one after the other, and keeps back the start of a head. It gives what is
-- wrong, once.
local function watch(client, grants)
  local held, left, skip, fields, refused = "", 0, 0, 0, false
  return function(chunk)
    if held ~= "" then
      chunk:setBytes(held .. chunk:getBytes(0, chunk:length()))
      held = ""
    end
    local length, position, reason = chunk:length(), 0, nil
    while position < length and not refused do
      if skip > 0 then
        local step = math.min(skip, length - position)
        position, skip, left = position + step, skip - step, left - step
      else
        local starts = left == 0
        local longest = starts and LONGEST_HEAD or 11
        local text = chunk:getBytes(position, math.min(longest, length - position))
        local used, content
        if starts then used, content = head(text, client, grants) else used, content = field(text) end
        if used == nil then
          held = text
          chunk:setBytes(position > 0 and chunk:getBytes(0, position) or "")
          return nil
        end
        if used and starts then
          left, fields = content - used, 0
        elseif used then
          if used + content > left or fields == MOST_FIELDS then
            used, content = false, UNREADABLE
          else
            left, skip, fields = left - used, content, fields + 1
          end
        end
        if used then position = position + used else refused, reason = true, content end
      end
    end
    if refused then
      local sound = position > 0 and chunk:getBytes(0, position) or ""
      local rest = math.min(left, length - position)
      chunk:setBytes(sound .. (reason and left == 0 and NO_MESSAGE or string.rep(NO_FIELD, rest)))
      left = left - rest
    end
    return reason
  end
end

local function mark(handle, key, value)
  handle:streamInfo():dynamicMetadata():set("grants", key, value) -- Envoy's objects end with each chunk
end

local function check_call(handle, client, grants)
  local look, failed = watch(client, grants), false
  mark(handle, "call", true)
  for chunk in handle:bodyChunks() do
    local worked = not failed and pcall(function()
      local reason = chunk:length() > 0 and look(chunk)
      if reason then mark(handle, "reason", reason) end
    end)
    if not worked then
      chunk:setBytes("")
      if not failed then mark(handle, "reason", "the message could not be checked") end
      failed = true
    end
  end
end

-- Say what is not granted of a request; nil where all is, and true where the messages tell.
local function judge(path, client, grants)
  if not grants then return not_granted(client, "anything yet") end
  if grants == true then return nil end
  path = match(path, "^[^?#]*")
  if path == "/score" then return not grants[path] and not_granted(client, path) or nil end
  local name = match(path, "^/v2/models/([^/]*)")
  if name then return not grants[name] and not_granted(client, the_model(name)) or nil end
  return path:sub(1, #SERVICE) == SERVICE or nil
end

function envoy_on_request(handle)
  local client, grants
  local worked, reason = pcall(function()
    client = handle:streamInfo():dynamicMetadata():get(NAMESPACE)[NAME]
    grants = GRANTS[client]
    return judge(handle:headers():get(":path"), client, grants)
  end)
  if not worked then reason = "the request could not be checked" end
  if reason == true then
    check_call(handle, client, grants)
  elseif reason then
    handle:streamInfo():dynamicMetadata():set(GUARD, REFUSED, true)
    handle:respond({
      [":status"] = "403",
      ["www-authenticate"] = 'Bearer realm="service", error="insufficient_scope"',
    }, reason)
  end
end
