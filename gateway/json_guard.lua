-- Check the bodies of inference requests before Triton reads them.
--
-- Triton allocates as much as a shape declares, and descends as deep as brackets are nested, before it compares either
-- with the bytes that came. So this script refuses a body that is nested too deep or cut off, and shapes that declare
-- more elements than the body has bytes (an element takes at least one). `request_guard.py` puts CHECK_SHAPES and MAX_DEPTH before this text.
-- Envoy lets a request pass where a script fails, hence `pcall`.

-- A collection begins when memory is ten times what the last one left, and not twice: collections took a third of the
-- script's time. What is left is small: none keeps a large text (LARGE).
collectgarbage("setpause", 1000)

local ffi = require("ffi")
local find = string.find

-- Lua ends strings with a NUL, which stops every loop below; in JSON it is an error.
local STRUCTURE = ffi.new("uint8_t[256]")
local IN_STRING = ffi.new("uint8_t[256]")
local QUOTE, OPEN, CLOSE, BACKSLASH, STOP = 1, 2, 3, 4, 5
STRUCTURE[0], IN_STRING[0] = STOP, STOP
STRUCTURE[0x22], IN_STRING[0x22] = QUOTE, QUOTE
STRUCTURE[0x5B], STRUCTURE[0x7B] = OPEN, OPEN
STRUCTURE[0x5D], STRUCTURE[0x7D] = CLOSE, CLOSE
IN_STRING[0x5C] = BACKSLASH

local LARGE = 2 ^ 20 -- bytes of text that are not left to the next collection

local TRUNCATED = "the body is not JSON: it ends in the middle, or has a NUL byte"
local TOO_DEEP = "the body is nested deeper than " .. MAX_DEPTH .. " brackets"

local function is_shape(key)
  if key:find("\\", 1, true) then
    key = key:gsub("\\u00(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  end
  return key == "shape"
end

-- The number of elements that the shape behind a key declares. Triton itself refuses a shape that is no list of numbers.
local function elements(text, position)
  local dimensions = text:match("^%s*:%s*%[([%d%s,%-]*)%]", position)
  if not dimensions then return 0 end
  local product, empty = 1, false
  for dimension in dimensions:gmatch("%d+") do
    local size = tonumber(dimension)
    if size == 0 then empty = true else product = product * size end
  end
  if empty and product < 2 ^ 31 then return 0 end
  return product
end

local function too_many(bytes)
  return "the shapes declare more elements than the body of " .. bytes .. " bytes can hold"
end

-- Whether a text has too few brackets to be nested too deep.
local function is_flat(text)
  local left, position = MAX_DEPTH, find(text, "[", 1, true)
  while position and left > 0 do
    left, position = left - 1, find(text, "[", position + 1, true)
  end
  position = find(text, "{", 1, true)
  while position and left > 0 do
    left, position = left - 1, find(text, "{", position + 1, true)
  end
  return left > 0
end

-- Say what is wrong with the shapes of a text without escapes, where each "shape" is a key or a value of that name.
local function wrong_shapes(text, bytes)
  local declared, position = 0, 1
  while true do
    position = find(text, '"shape"', position, true)
    if not position then return nil end
    position = position + 7
    declared = declared + elements(text, position)
    if declared > bytes then return too_many(bytes) end
  end
end

-- Say what is wrong with a JSON text that came in a body of so many bytes; nil where it is sound.
local function mistake(text, bytes)
  -- Most texts pass without a look at each byte.
  if is_flat(text) and not (CHECK_SHAPES and find(text, "\\", 1, true)) then
    return CHECK_SHAPES and wrong_shapes(text, bytes) or nil
  end
  local at = ffi.cast("const uint8_t *", text)
  local position, depth, declared = 0, 0, 0
  while true do
    while STRUCTURE[at[position]] == 0 do position = position + 1 end
    local class = STRUCTURE[at[position]]
    if class == OPEN then
      depth = depth + 1
      if depth > MAX_DEPTH then return TOO_DEEP end
    elseif class == CLOSE then
      depth = depth - 1
    elseif class == QUOTE then
      local start, escaped = position + 1, false
      position = start
      while IN_STRING[at[position]] ~= QUOTE do
        local special = IN_STRING[at[position]]
        if special == STOP then return TRUNCATED end
        if special == BACKSLASH then
          escaped, position = true, position + 1
          if at[position] == 0 then return TRUNCATED end
        end
        position = position + 1
      end
      if CHECK_SHAPES and (escaped or position - start == 5) and is_shape(text:sub(start + 1, position)) then
        declared = declared + elements(text, position + 2)
        if declared > bytes then return too_many(bytes) end
      end
    else
      return (position < #text or depth ~= 0) and TRUNCATED or nil
    end
    position = position + 1
  end
end

-- Mark the answer as the guard's: `listener._local_replies` then gives its words.
local function refuse(handle, status, reason)
  handle:streamInfo():dynamicMetadata():set("guard", "refused", true)
  handle:respond({ [":status"] = status }, reason)
end

-- How many bytes at the start of a body of `bytes` are JSON: all, where the header does not say. nil: nonsense.
local function head(declared, bytes)
  if not declared then return bytes end
  local length = declared:match("^%d+$") and tonumber(declared)
  return length and length <= bytes and length or nil
end

function envoy_on_request(handle)
  local declared = handle:headers():get("inference-header-content-length")
  local body = handle:body()
  local bytes = body and body:length() or 0
  local length = head(declared, bytes)
  if not length then
    return refuse(handle, "400", "Inference-Header-Content-Length is no number of bytes that the body has")
  end
  if length == 0 then return end
  local worked, reason = pcall(mistake, body:getBytes(0, length), bytes)
  if length > LARGE then collectgarbage() end
  if not worked then return refuse(handle, "500", "the body could not be checked") end
  if reason then refuse(handle, "400", reason) end
end
