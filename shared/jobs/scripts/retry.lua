-- Give a failed or expired job a new life: same id, attempts counted anew, at the end of its lane.
--
-- a.id, a.tenant        the job and who asks
-- a.audio_ttl           seconds
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns 'unknown' (or somebody else's), 'gone', 'not_retryable', 'no_audio' (kept no longer) or 'queued'.
-- uses: access endings lanes
local job, refusal = owned()
if not job then
  return refusal
end
if job.state ~= 'failed' and job.state ~= 'expired' then
  return 'not_retryable'
end
-- One that failed with the job that it followed has no audio of its own, as long as nobody wants it again.
if job.audio_of and redis.call('EXISTS', key('audio', job.id)) == 0 then
  redis.call('COPY', key('audio', job.audio_of), key('audio', job.id))
end
if redis.call('EXISTS', key('audio', job.id)) == 0 then
  return 'no_audio'
end
revive(job)
enter_lane(job, false)
return 'queued'
