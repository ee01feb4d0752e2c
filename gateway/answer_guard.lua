-- Triton answers 500 to most bodies that it cannot read. These words say that the mistake is the client's.
-- `request_guard.py` has this script started for such answers alone.

local CLIENTS = {
  "^{\"error\":\"failed to parse the request JSON buffer",
  "^{\"error\":\"failed to get request params",
  "^{\"error\":\"Unable to parse ",
  "^{\"error\":\"Unable to set '",
  "^{\"error\":\"Expected JSON object for keyword: '",
  "^{\"error\":\"attempt to ", -- read the JSON as something that it is not
}

function envoy_on_response(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, math.min(body:length(), 100)) or ""
  for _, pattern in ipairs(CLIENTS) do
    if text:find(pattern) then handle:headers():replace(":status", "400") end
  end
end
