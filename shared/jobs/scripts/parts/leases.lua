-- Which job a worker may write to, and calls that come again because their answer was lost on its way.
-- uses: executions
--
-- One rule for all of these calls. A call names the executions that it begins by `a.execution`, an id that its worker makes up, and
-- the execution that it ends by the token that the worker was given. The job's record keeps both names: `execution` as long as the
-- job is under a lease, and `ended_by` of the last call with which a worker put the job down (with its answer in `ended_as`). A call
-- that comes again finds its name there, changes nothing, and answers as before.

-- The jobs that a.worker has got by an earlier call with the same a.execution: each its hash as {field, value, ...}.
local function begun_before()
  local jobs = {}
  for _, member in ipairs(redis.call('SMEMBERS', RQ .. ':worker:' .. a.worker .. ':executions')) do
    local id, execution = string.match(member, '^(.*):([^:]*)$')
    if execution == a.execution then
      jobs[#jobs + 1] = redis.call('HGETALL', key('job', id))
    end
  end
  return jobs
end

-- The job that a worker may write to: running, and still under the token that the worker was given.
-- If not: nil; and, if this call has put the job down before, its answer then, which is one of the `...`. Else the write is
-- refused, and counted: it comes from a worker that lost the job to another.
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
  -- A piece has no record once it is done, so that a worker that asks again cannot be told from one that comes too late.
  if job or not string.match(id, '_p%d+$') then
    count('refused_writes')
  end
  return nil
end

-- The worker that has the job puts it down: its lease ends by its own call, which is answered so.
local function put_down(job, answer)
  end_execution(job)
  hset(key('job', job.id), { ended_by = job.token, ended_as = answer })
end
