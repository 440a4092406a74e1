-- Admit a batch of claims, or say why not. One atomic step; nothing interleaves with it.
--
-- KEYS[1]   gate     hash: epoch, state, opens_at, closes_at (ms, empty: no bound),
--                    position_last, position_limit
-- KEYS[2]   journal  stream: one entry per admitted batch, id = <first position>-0
-- KEYS[3]   settled  bitfield: two bits a position
-- KEYS[4..] users    hashes: user -> position, or -(position * 2^24 + attempt)
-- ARGV[1]   epoch    the caller's "<counter>-<run_id>"
-- ARGV[2]   time     seconds since 1970, the caller's clock; kept in the journal
-- ARGV[3..] per claim: user, attempt (0: none), index into KEYS
--
-- Replies {"stale", <epoch field>} when the caller's epoch is not the gate's; then nothing was read
-- or written. Else one integer a claim: position * 32 + settled * 8 + verdict (model.Verdict).
--
-- A script that fails half-way is not rolled back. What Redis refuses for want of memory or disk, it
-- refuses at the first write; an entry that the journal does not take is undone here.

local SOLD_OUT, ADMITTED, REPLAYED, DUPLICATE, NOT_OPEN, PAUSED, CLOSED = 0, 1, 2, 3, 4, 5, 6
local ATTEMPTS = 16777216 -- 2^24

local gate = redis.call("HMGET", KEYS[1], "epoch", "state", "opens_at", "closes_at",
    "position_last", "position_limit")
if gate[1] ~= ARGV[1] then
    return {"stale", gate[1]}
end

local refusal = SOLD_OUT
if gate[2] == "PAUSED" then
    refusal = PAUSED
elseif gate[2] ~= "OPEN" then
    refusal = CLOSED
else
    local time = redis.call("TIME")
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local opens_at, closes_at = tonumber(gate[3]), tonumber(gate[4])
    if opens_at and now < opens_at then
        refusal = NOT_OPEN
    elseif closes_at and now >= closes_at then
        refusal = CLOSED
    end
end

local first = tonumber(gate[5]) + 1
local free = refusal == SOLD_OUT and tonumber(gate[6]) - first + 1 or 0

local replies, users, attempts, buckets = {}, {}, {}, {}
local keyed = false -- whether any admitted claim had an attempt
local admitted = 0

for i = 3, #ARGV, 3 do
    local user, attempt = ARGV[i], tonumber(ARGV[i + 1])
    local bucket = KEYS[tonumber(ARGV[i + 2])]
    local reply = refusal
    local taken = false
    if admitted < free then
        -- A number, not a text of it: Redis writes it exactly, and faster than Lua would.
        local position = first + admitted
        local packed = attempt == 0 and position or -(position * ATTEMPTS + attempt)
        taken = redis.call("HSETNX", bucket, user, packed) == 1
        if taken then
            admitted = admitted + 1
            keyed = keyed or attempt ~= 0
            users[admitted], attempts[admitted], buckets[admitted] = user, ARGV[i + 1], bucket
            reply = position * 32 + ADMITTED
        end
    end
    local held = not taken and tonumber(redis.call("HGET", bucket, user) or nil)
    if held then
        local position, winner = held, 0
        if held < 0 then
            position = math.floor(-held / ATTEMPTS)
            winner = -held % ATTEMPTS
        end
        local verdict = (attempt ~= 0 and attempt == winner) and REPLAYED or DUPLICATE
        local settled = redis.call("BITFIELD_RO", KEYS[3], "GET", "u2", "#" .. position)[1]
        reply = position * 32 + settled * 8 + verdict
    end
    replies[#replies + 1] = reply
end

if admitted > 0 then
    local entry = redis.pcall("XADD", KEYS[2], first .. "-0", "u", table.concat(users, " "),
        "a", keyed and table.concat(attempts, " ") or "", "t", ARGV[2])
    if type(entry) == "table" and entry.err then
        for i = 1, admitted do
            redis.call("HDEL", buckets[i], users[i])
        end
        return entry
    end
    redis.call("HSET", KEYS[1], "position_last", first + admitted - 1)
end
return replies
