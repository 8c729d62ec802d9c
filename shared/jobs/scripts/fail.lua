-- Report that a job could not be transcribed.
--
-- a.id, a.token    the job and the token of the claim
-- a.error          JSON string {code, message, retryable}
-- a.retryable      whether the job goes back to the front of its lane while attempts are left
-- a.max_attempts   how many attempts a job has
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
--
-- Returns 'stale', 'requeued' or 'failed'. A piece that cannot be transcribed fails its file.
-- uses: executions pieces leases flights
even_when_full()
local job, before = held(a.id, a.token, 'requeued', 'failed')
if not job then
  return before or 'stale'
end
local error = cjson.decode(a.error)
-- The history says `model_died` for each death: `poison_job` is the verdict after the last attempt.
note_attempt(job, error.code == 'poison_job' and 'model_died' or error.code, error.message)
if error.code == 'poison_job' or error.code == 'no_progress' then
  suspect(job)
end
if a.retryable and tonumber(job.attempt) < a.max_attempts then
  put_down(job, 'requeued')
  -- A file that could not be stitched is cut anew. Its checkpoints stay: pieces that fit them are not decoded again.
  drop_pieces(job)
  enter_lane(job, true)
  count('retried')
  return 'requeued'
end
give_up(job, a.error)
if not job.parent then
  hset(key('job', job.id), { ended_by = job.token, ended_as = 'failed' })
end
return 'failed'
