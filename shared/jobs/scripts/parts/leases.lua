-- Which job a worker may write to, and what is answered to a call that comes again because its answer was lost.
-- uses: executions
--
-- All these calls follow one rule. A call names the executions that it begins by `a.execution`, an id that its worker makes up.
-- It names the execution that it ends by the token that the worker was given. The job's record keeps both names: `execution`
-- while the job is under a lease, and `ended_by` from the last call by which a worker put the job down (with that call's answer
-- in `ended_as`, or as the job's state). A call that comes again finds its name in the record, changes nothing, and answers as before.

-- Whether this job is under a lease that a.worker got by an earlier call with the same a.execution. Then: its hash as
-- {field, value, ...}.
local function begun_before(id)
  local known = redis.call('HMGET', key('job', id), 'execution', 'worker')
  if known[1] == a.execution and known[2] == a.worker then
    return redis.call('HGETALL', key('job', id))
  end
end

-- The job that a worker may write to: running, and still under the token that the worker was given.
-- If not: nil; and, if the same call has put the job down before, that call's answer, which is one of `...`. Else the write is
-- refused and counted in `refused_writes`: it comes from a worker that has lost the job.
local function held(id, token, ...)
  local job = load_job(id)
  if job and job.state == 'running' and job.token == integer(token) then
    return job
  end
  for _, answer in ipairs({ ... }) do
    if job and job.ended_by == integer(token) and (job.ended_as or job.state) == answer then
      return nil, answer
    end
  end
  -- A piece has no record once it is done. So a call that comes again cannot be told from one that comes too late: not counted.
  if job or not string.match(id, '_p%d+$') then
    count('refused_writes')
  end
  return nil
end

-- End the lease of the worker that has the job, by its own call. The record keeps the call's token and its `answer`.
local function put_down(job, answer)
  end_execution(job)
  hset(key('job', job.id), { ended_by = job.token, ended_as = answer })
end
