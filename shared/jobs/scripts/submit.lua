-- Take a job: complete it from the cache, let it follow an equal job in flight, or store its audio and queue it.
--
-- a.job          fields of the new record (id, tenant, options, model, lane, digest, size_bytes, audio_seconds, ...)
-- a.use_cache    whether to look in the cache
-- a.alive_ms     a worker whose last beat is not older than this is alive
-- a.idempotency  null, or {key, digest}: the caller's Idempotency-Key and the digest of the request that it stands for
-- a.max_bytes, a.max_audio_ms   how much may wait in the lanes
-- a.most_followers              how many followers may wait for one decode
-- a.most_followed_seconds       how much audio the followers of one decode may have together, in seconds
-- a.pieces_lane                 the lane for the pieces of a long file if an interactive job begins to follow it
-- a.start_deadline_ms           how long the job may wait to be started
-- a.deadline_ms                 null, or how long the job may take in all
-- a.audio_ttl, a.result_ttl, a.failed_audio_ttl, a.gone_ttl, a.idempotency_ttl   seconds
-- a.has_audio    whether the audio comes with this call. If not, the call is a try (cheap if the cache or a flight can answer)
-- ARGV[5..]      field, value, ... of RQ's own hash for the job, which says that the job is queued
--
-- The audio itself is no argument: a script would copy it twice, which costs as much as to store it. The caller sends a
-- transaction: this script, then `SET audio:{id} <audio> XX KEEPTTL`. If the script wants the audio, it leaves an empty value
-- there for that command to fill; else the command does nothing.
--
-- a.lane_kinds   the kinds of lanes, the most urgent first
--
-- Returns {verdict, ...}: {'cached', view} or {'following', view} with read.lua's answer for the new job; {'queued', the time (ms),
-- {jobs, milliseconds of audio} that are started before the job}: the rest of its record is what the caller has sent;
-- {'need_audio'}, {'replay', id}, {'conflict'}, {'full', bytes waiting, audio_ms waiting}.
-- uses: access executions pieces lanes endings
local job = a.job

local idempotency = a.idempotency ~= cjson.null and a.idempotency or nil
local idempotency_key = idempotency and key('idempotency', job.tenant .. ':' .. idempotency.key)
if idempotency then
  local known = redis.call('HMGET', idempotency_key, 'id', 'digest')
  if known[1] then
    return known[2] == idempotency.digest and { 'replay', known[1] } or { 'conflict' }
  end
end

-- The gateway sends this call again because its answer was lost.
if redis.call('EXISTS', key('job', job.id)) == 1 then
  return { 'replay', job.id }
end

-- Workers on CPUs and on GPUs cache under revisions of their own. Look under the revisions of living workers, and always under
-- the one with the last beat.
local MOST_REVISIONS = 8

local function from_cache()
  local known = redis.call('ZREVRANGE', key('revisions', job.model), 0, MOST_REVISIONS - 1, 'WITHSCORES')
  for i = 1, #known, 2 do
    local found = (i == 1 or NOW - known[i + 1] <= a.alive_ms) and redis.call('GET', key('cache', job.digest .. ':' .. known[i]))
    if found then
      return found
    end
  end
end

-- A caller waits for the leader now: the leader and its pieces leave the batch lane.
local function hurry(ahead)
  if ahead.state == 'queued' then
    leave_lane(ahead)
    ahead.lane = job.lane
    hset(key('job', ahead.id), { lane = job.lane })
    enter_lane(ahead, false)
  else
    change_lane(ahead, job.lane)
    ahead.pieces_lane = a.pieces_lane
    hset(key('job', ahead.id), { pieces_lane = a.pieces_lane })
    hurry_pieces(ahead)
  end
end

local cached = a.use_cache and from_cache()
local leader = not cached and redis.call('GET', key('flight', job.digest))
-- If the leader's record is gone, an operator has deleted it by hand: start a new flight.
local leader_state = leader and redis.call('HGET', key('job', leader), 'state')
if leader and (not leader_state or TERMINAL[leader_state]) then
  redis.call('DEL', key('flight', job.digest), key('followers', job.digest))
  leader = nil
end

-- All followers of a job end with it in one step, and each gets a copy of its transcript. So there is a limit.
local function is_followed_enough()
  local followers = redis.call('ZCARD', key('followers', job.digest))
  return followers >= a.most_followers or followers * job.audio_seconds >= a.most_followed_seconds
end

if leader and is_followed_enough() then
  count('refused_full')
  return { 'full', 0, 0 }
end

if not cached and not leader then
  if not a.has_audio then
    return { 'need_audio' }
  end
  local waiting = redis.call('HMGET', PREFIX .. ':load', 'bytes', 'audio_ms')
  local bytes, audio_ms = tonumber(waiting[1] or 0), tonumber(waiting[2] or 0)
  if bytes + job.size_bytes > a.max_bytes or audio_ms + job.audio_seconds * 1000 > a.max_audio_ms then
    count('refused_full')
    return { 'full', bytes, audio_ms }
  end
  -- This is the first write: when Redis' memory is full, this one fails, and nothing is left behind.
  redis.call('SET', key('audio', job.id), '', 'EX', 2 * a.audio_ttl)
end

job.state = 'queued'
job.created_at_ms, job.queued_at_ms = integer(NOW), integer(NOW)
job.start_deadline_ms = a.start_deadline_ms
if a.deadline_ms ~= cjson.null then
  job.deadline_ms = a.deadline_ms
  job.ends_by_ms = integer(NOW + a.deadline_ms)
end
hset(key('job', job.id), job)
redis.call('HSET', RQ .. ':job:' .. job.id, unpack(ARGV, 5))
redis.call('ZADD', key('jobs', job.tenant), NOW, job.id)
redis.call('ZREMRANGEBYSCORE', key('jobs', job.tenant), '-inf', NOW - a.gone_ttl * 1000)
keep_for(key('jobs', job.tenant), 2 * a.gone_ttl)
count('submitted')
if idempotency then
  redis.call('HSET', idempotency_key, 'id', job.id, 'digest', idempotency.digest)
  redis.call('EXPIRE', idempotency_key, a.idempotency_ttl)
end

if cached then
  count('cache_hits')
  local cut = string.find(cached, '\n', 1, true)
  redis.call('SET', key('transcript', job.id), string.sub(cached, cut + 1), 'EX', a.result_ttl)
  settle(job, 'completed', {
    origin = 'cache', cached_at_ms = string.sub(cached, 1, cut - 1), progress_seconds = job.audio_seconds,
  })
  return { 'cached', view(job) }
end

if leader then
  count('shared_flights')
  watch_deadline(job, NOW + a.start_deadline_ms, 'NX')
  local ahead = load_job(leader)
  if job.priority == 'interactive' and ahead.lane ~= job.lane then
    hurry(ahead)
  end
  job.leader = leader
  hset(key('job', job.id), { leader = leader })
  redis.call('ZADD', key('followers', job.digest), NOW, job.id)
  tell_rq(job.id, { status = 'deferred' })
  redis.call('ZADD', RQ .. ':deferred:' .. job.lane, math.floor(NOW / 1000), job.id)
  return { 'following', view(job) }
end

count('cache_misses')
redis.call('SET', key('flight', job.digest), job.id)
enter_lane(job, false, true)
return { 'queued', integer(NOW), ahead_of(job) }
