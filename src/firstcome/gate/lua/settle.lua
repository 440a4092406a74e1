-- Write what became of positions: the two bits that a status is read from.
--
-- KEYS[1]   gate     hash: epoch
-- KEYS[2]   settled  bitfield: two bits a position
-- ARGV[1]   epoch    "<counter>-<run_id>" or "<counter>": the number decides
-- ARGV[2..] per range: first position, last position, settled (1 ISSUED, 2 UNDER_REVIEW, 3 CANCELLED)
--
-- Replies the number of positions written, or -1 when the gate is of another epoch. ISSUED and
-- CANCELLED never change again, so they may be written over anything; UNDER_REVIEW only over open.

local epoch = redis.call("HGET", KEYS[1], "epoch")
if not epoch or string.match(epoch, "^(%d+)-") ~= string.match(ARGV[1], "^%d+") then
    return -1
end

-- Four positions a byte, the first one in the highest bits: a whole byte of one status.
local BYTES = {[1] = string.char(0x55), [3] = string.char(0xFF)}

local written = 0
for i = 2, #ARGV, 3 do
    local position, last, settled = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    while position <= last do
        local whole = position % 4 == 0 and math.floor((last - position + 1) / 4) or 0
        if whole > 0 and BYTES[settled] then
            redis.call("SETRANGE", KEYS[2], position / 4, string.rep(BYTES[settled], whole))
            position = position + whole * 4
            written = written + whole * 4
        else
            local field = "#" .. position
            if settled ~= 2 or redis.call("BITFIELD", KEYS[2], "GET", "u2", field)[1] == 0 then
                redis.call("BITFIELD", KEYS[2], "SET", "u2", field, settled)
                written = written + 1
            end
            position = position + 1
        end
    end
end
return written
