-- Tell a gRPC client why its call was refused, once the messages have told.
--
-- `grants.py` puts `grants.lua` before this text, on the routes of gRPC alone: Envoy would start a script for each answer.

function envoy_on_response(handle)
  local marks = handle:streamInfo():dynamicMetadata():get("grants")
  if not marks then return end
  local status = handle:headers()
  if not status:get("grpc-status") then
    for _ in handle:bodyChunks() do end
    status = handle:trailers()
  end
  marks = handle:streamInfo():dynamicMetadata():get("grants")
  if status and marks.reason then
    status:replace("grpc-status", "7")
    status:replace("grpc-message", marks.reason)
    mark(handle, DETAILS, "lua_response") -- what Envoy says of a request that a script refuses
  end
end
