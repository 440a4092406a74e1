-- Bring a campaign's gate up to the database's version: its numbers, and the rows decided since.
--
-- KEYS[1]   gate     hash: epoch, version, state, opens_at, closes_at, position_limit
-- KEYS[2]   settled  bitfield: two bits a position
-- KEYS[3..] users    hashes: user -> position, or -(position * 2^24 + attempt)
-- ARGV[1]   epoch    the number of the epoch that the rows belong to
-- ARGV[2]   version  of the campaign in the database
-- ARGV[3]   state    ARGV[4] opens_at, ARGV[5] closes_at (ms, empty: no bound)
-- ARGV[6]   position_limit
-- ARGV[7..] per row decided above the gate's version: position, user (empty: unknown), index into
--           KEYS, place that the user holds now (0: none), settled (1 ISSUED, 3 CANCELLED)
--
-- Replies the gate's version afterwards, or -1 when the gate is of another epoch or shut.
-- Applies only a higher version, so that it may be repeated and overtaken. Never touches the epoch.

local gate = redis.call("HMGET", KEYS[1], "epoch", "version")
if not gate[1] or string.match(gate[1], "^(%d+)-") ~= ARGV[1] then
    return -1
end
if tonumber(gate[2]) >= tonumber(ARGV[2]) then
    return tonumber(gate[2])
end

for i = 7, #ARGV, 5 do
    local position, user = tonumber(ARGV[i]), ARGV[i + 1]
    redis.call("BITFIELD", KEYS[2], "SET", "u2", "#" .. position, ARGV[i + 4])
    if user ~= "" then
        local bucket = KEYS[tonumber(ARGV[i + 2])]
        local held = tonumber(redis.call("HGET", bucket, user) or nil)
        if held and held < 0 then
            held = math.floor(-held / 16777216)
        end
        if ARGV[i + 4] == "1" then
            -- A gate that does not know the user would let him in again.
            if not held then
                redis.call("HSET", bucket, user, ARGV[i + 3])
            end
        -- Only the cancelled place is given up: the user may hold a newer one by now.
        elseif held == position then
            if ARGV[i + 3] == "0" then
                redis.call("HDEL", bucket, user)
            else
                redis.call("HSET", bucket, user, ARGV[i + 3])
            end
        end
    end
end
redis.call("HSET", KEYS[1], "version", ARGV[2], "state", ARGV[3], "opens_at", ARGV[4],
    "closes_at", ARGV[5], "position_limit", ARGV[6])
return tonumber(ARGV[2])
