-- Bound the messages of a gRPC stream, whose whole length nobody knows: Triton takes messages of 2 GB.
--
-- A message has a byte that says whether it is compressed, four bytes of length, and its content. Envoy lets no script
-- end a running stream. So in place of a message that is too long the script sends an invalid frame, on which Triton
-- ends this call, and drops the rest. The client gets RESOURCE_EXHAUSTED. `request_guard.py` puts MAX_BYTES before this text.

local PREFIX = 5
local NO_FRAME = "\255\255\255\255\255"

local function size(prefix)
  local _, a, b, c, d = prefix:byte(1, PREFIX)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

function envoy_on_request(handle)
  local coming, held, refused = 0, "", false -- bytes of a message still to come; the start of a prefix, not passed on yet
  for chunk in handle:bodyChunks() do
    if refused then
      chunk:setBytes("")
    else
      if held ~= "" then
        chunk:setBytes(held .. chunk:getBytes(0, chunk:length()))
        held = ""
      end
      local length, position = chunk:length(), 0
      while position + coming < length and not refused do
        position, coming = position + coming, 0
        local prefix = chunk:getBytes(position, math.min(PREFIX, length - position))
        if #prefix < PREFIX then
          held = prefix
        elseif size(prefix) > MAX_BYTES then
          refused = true
        else
          coming = PREFIX + size(prefix)
        end
        if held ~= "" or refused then
          if refused then handle:streamInfo():dynamicMetadata():set("guard", "too_long", true) end
          chunk:setBytes((position > 0 and chunk:getBytes(0, position) or "") .. (refused and NO_FRAME or ""))
          break
        end
      end
      if held == "" then coming = coming - (length - position) end
    end
  end
end

function envoy_on_response(handle)
  local status = handle:headers()
  if not status:get("grpc-status") then
    for _ in handle:bodyChunks() do end
    status = handle:trailers()
  end
  local marks = handle:streamInfo():dynamicMetadata():get("guard")
  if status and marks and marks.too_long then
    status:replace("grpc-status", "8")
    status:replace("grpc-message", "a message is larger than the limit of " .. MAX_BYTES .. " bytes")
  end
end
