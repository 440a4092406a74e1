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
-- Everything is read and checked before the first write: a script that fails half-way is not
-- rolled back. XADD is the first write, and the only one that can still be refused.

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
local mine = {}     -- user -> packed value, of those admitted in this very batch
local keyed = false -- whether any admitted claim had an attempt
local admitted = 0

for i = 3, #ARGV, 3 do
    local user, attempt = ARGV[i], tonumber(ARGV[i + 1])
    local bucket = KEYS[tonumber(ARGV[i + 2])]
    local held = mine[user]
    if not held then
        held = tonumber(redis.call("HGET", bucket, user) or nil)
    end
    local reply
    if held then
        local position, winner = held, 0
        if held < 0 then
            position = math.floor(-held / ATTEMPTS)
            winner = -held % ATTEMPTS
        end
        local verdict = (attempt ~= 0 and attempt == winner) and REPLAYED or DUPLICATE
        local settled = 0
        if not mine[user] then
            settled = redis.call("BITFIELD_RO", KEYS[3], "GET", "u2", "#" .. position)[1]
        end
        reply = position * 32 + settled * 8 + verdict
    elseif admitted < free then
        local position = first + admitted
        admitted = admitted + 1
        mine[user] = attempt == 0 and position or -(position * ATTEMPTS + attempt)
        keyed = keyed or attempt ~= 0
        users[admitted], attempts[admitted], buckets[admitted] = user, ARGV[i + 1], bucket
        reply = position * 32 + ADMITTED
    else
        reply = refusal
    end
    replies[#replies + 1] = reply
end

if admitted > 0 then
    redis.call("XADD", KEYS[2], first .. "-0", "u", table.concat(users, " "),
        "a", keyed and table.concat(attempts, " ") or "", "t", ARGV[2])
    for i = 1, admitted do
        redis.call("HSET", buckets[i], users[i], string.format("%.0f", mine[users[i]]))
    end
    redis.call("HSET", KEYS[1], "position_last", first + admitted - 1)
end
return replies
