-- Revive a failed or expired job: it keeps its id, its attempts are counted anew, and it waits at the end of its lane.
--
-- a.id, a.tenant        the job, and the tenant who asks
-- a.key                 the caller's Idempotency-Key, or ''
-- a.audio_ttl           seconds
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns 'unknown' (also for another tenant's job), 'gone', 'not_retryable', 'no_audio' (it is kept no longer) or 'queued'.
-- uses: access endings lanes
local job, refusal = owned()
if not job then
  return refusal
end
-- The caller sends this request again because its answer was lost.
if a.key ~= '' and job.retried_with == a.key then
  return 'queued'
end
if job.state ~= 'failed' and job.state ~= 'expired' then
  return 'not_retryable'
end
if not has_audio_again(job) then
  return 'no_audio'
end
if a.key ~= '' then
  hset(key('job', job.id), { retried_with = a.key })
end
revive(job)
enter_lane(job, false)
return 'queued'
