-- Say where users stand. Reads only.
--
-- KEYS[1]   gate     hash: epoch
-- KEYS[2]   settled  bitfield: two bits a position
-- KEYS[3..] users    hashes: user -> position, or -(position * 2^24 + attempt)
-- ARGV[1]   epoch    the caller's "<counter>-<run_id>"
-- ARGV[2..] per user: user, index into KEYS
--
-- Replies {"stale", <epoch field>}, or one integer a user: position * 4 + settled; 0: not here.

local epoch = redis.call("HGET", KEYS[1], "epoch")
if epoch ~= ARGV[1] then
    return {"stale", epoch}
end

local replies = {}
for i = 2, #ARGV, 2 do
    local held = tonumber(redis.call("HGET", KEYS[tonumber(ARGV[i + 1])], ARGV[i]) or nil)
    if held then
        local position = held < 0 and math.floor(-held / 16777216) or held
        local settled = redis.call("BITFIELD_RO", KEYS[2], "GET", "u2", "#" .. position)[1]
        replies[#replies + 1] = position * 4 + settled
    else
        replies[#replies + 1] = 0
    end
end
return replies
