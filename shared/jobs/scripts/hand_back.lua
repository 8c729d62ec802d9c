-- Put a job back at the front of its lane because its worker is leaving; this attempt does not count.
--
-- a.id, a.token   the job and the token of the claim
--
-- Returns 1, or 0 when the token is stale.
-- uses: executions lanes leases
even_when_full()
local job, before = held(a.id, a.token, 'handed_back')
if not job then
  return before and 1 or 0
end
put_down(job, 'handed_back')
hset(key('job', job.id), { attempt = tonumber(job.attempt) - 1 })
enter_lane(job, true)
count('handed_back')
return 1
