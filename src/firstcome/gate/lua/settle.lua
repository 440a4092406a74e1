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

local written = 0
for i = 2, #ARGV, 3 do
    local first, last, settled = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local position = first
    while position <= last do
        local operations, n = {}, 0
        -- 200 operations a call: far below the limit of Lua's stack.
        while position <= last and n < 800 do
            local write = true
            if settled == 2 then
                write = redis.call("BITFIELD", KEYS[2], "GET", "u2", "#" .. position)[1] == 0
            end
            if write then
                operations[n + 1], operations[n + 2] = "SET", "u2"
                operations[n + 3], operations[n + 4] = "#" .. position, settled
                n = n + 4
            end
            position = position + 1
        end
        if n > 0 then
            redis.call("BITFIELD", KEYS[2], unpack(operations, 1, n))
        end
        written = written + n / 4
    end
end
return written
