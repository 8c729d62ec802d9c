-- How a sweep over many records goes on if it cannot handle one of them.
-- uses: prelude

-- The broken records of this call: id, error, ... If `guarded` cannot handle a record, it takes the id out of `members`, adds it
-- to `broken` here and in Redis, and the sweep goes on with the next record.
local broken = {}
local MOST_BROKEN = 1000

local function guarded(id, members, handle)
  local is_well, problem = pcall(handle)
  if is_well then
    return
  end
  broken[#broken + 1] = id
  broken[#broken + 1] = type(problem) == 'table' and problem.err or tostring(problem)
  if redis.call('TYPE', members).ok == 'set' then
    redis.call('SREM', members, id)
  else
    redis.call('ZREM', members, id)
  end
  redis.call('ZADD', PREFIX .. ':broken', NOW, id)
  redis.call('ZREMRANGEBYRANK', PREFIX .. ':broken', 0, -MOST_BROKEN - 1)
  count('broken')
end
