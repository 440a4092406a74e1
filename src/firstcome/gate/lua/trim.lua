-- Delete the journal's oldest entries whose positions are all settled.
--
-- KEYS[1]  gate     hash: epoch
-- KEYS[2]  journal  stream: id <first position>-0, u users
-- KEYS[3]  settled  bitfield: two bits a position
-- ARGV[1]  epoch    the number of the epoch
-- ARGV[2]  start    id to begin at ("-": the oldest)
-- ARGV[3]  entries  looked at in one call, at most
--
-- Replies {deleted entries, id to go on at ("": the end was reached), first open position seen (0: none)}.
-- A call looks at a bounded number of entries, so that it never holds the gate up.

local epoch = redis.call("HGET", KEYS[1], "epoch")
if not epoch or string.match(epoch, "^(%d+)-") ~= ARGV[1] then
    return {0, "", 0}
end

local entries = redis.call("XRANGE", KEYS[2], ARGV[2], "+", "COUNT", ARGV[3])
if #entries == 0 then
    return {0, "", 0}
end

local done, open_first, last_id = {}, 0, ""
for _, entry in ipairs(entries) do
    last_id = entry[1]
    local first = tonumber(string.match(last_id, "^%d+"))
    local _, spaces = string.gsub(entry[2][2], " ", "")
    local last = first + spaces
    -- Two bits a position, four positions a byte, the first one in the highest bits.
    local from = math.floor(first / 4)
    local bytes = redis.call("GETRANGE", KEYS[3], from, math.floor(last / 4))
    local open = 0
    for position = first, last do
        local byte = string.byte(bytes, math.floor(position / 4) - from + 1) or 0
        if math.floor(byte / 4 ^ (3 - position % 4)) % 4 == 0 then
            open = position
            break
        end
    end
    if open == 0 then
        done[#done + 1] = last_id
    elseif open_first == 0 then
        open_first = open
    end
end
for i = 1, #done, 500 do
    redis.call("XDEL", KEYS[2], unpack(done, i, math.min(i + 499, #done)))
end

local next_id = ""
if #entries == tonumber(ARGV[3]) then
    next_id = "(" .. last_id
end
return {#done, next_id, open_first}
