-- Cancel a job that is not finished, or erase one that is.
--
-- a.id, a.tenant   the job, and the tenant who asks
-- a.key            the caller's Idempotency-Key, or ''
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns 'unknown' (also for another tenant's job), 'gone', 'canceled' or 'erased'.
-- uses: access pieces flights
even_when_full()
local job, refusal = owned()
if not job then
  return refusal
end

-- The caller sends this request again because its answer was lost: it must not erase the job that it has cancelled.
if a.key ~= '' and job.canceled_with == a.key then
  return 'canceled'
end

if TERMINAL[job.state] then
  redis.call('DEL', key('job', job.id), key('transcript', job.id), key('audio', job.id), checkpoints_of(job.id))
  redis.call('DEL', RQ .. ':job:' .. job.id)
  redis.call('ZREM', RQ .. ':' .. REGISTRY[job.state] .. ':' .. job.lane, job.id)
  redis.call('ZREM', key('jobs', job.tenant), job.id)
  redis.call('SET', key('gone', job.id), job.tenant, 'EX', a.gone_ttl)
  return 'erased'
end

if a.key ~= '' then
  hset(key('job', job.id), { canceled_with = a.key })
end
withdraw(job, 'canceled')
return 'canceled'
