-- Open the gate of a new epoch, if it is still shut with my token.
--
-- KEYS[1]  gate    hash
-- ARGV[1]  token   that shut it
-- ARGV[2..] field, value, ... of the new gate, epoch among them
--
-- Replies 1, or 0 when another rebuild has taken over.

if redis.call("HGET", KEYS[1], "epoch") ~= ARGV[1] then
    return 0
end
redis.call("HSET", KEYS[1], unpack(ARGV, 2))
return 1
