-- Forget every cached transcript of a tenant.
--
-- a.tenant   the tenant whose transcripts are forgotten
--
-- Returns the number of transcripts that were forgotten.
-- uses: prelude
local index = key('cached', a.tenant)
local names = redis.call('ZRANGE', index, 0, -1)
for _, name in ipairs(names) do
  redis.call('DEL', key('cache', name))
end
redis.call('DEL', index)
return #names
