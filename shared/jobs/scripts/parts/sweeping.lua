-- How a sweep over many records goes on when it cannot handle one of them.
-- uses: prelude

-- A record that a sweep cannot handle keeps it from no other: it is taken out of `members` and remembered among the broken.
-- Filled by `guarded`: id, error, ...
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
