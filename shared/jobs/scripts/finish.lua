-- Write a transcript. In one step the job and its followers are completed, and the transcript is put into the cache.
--
-- a.id, a.token     the job and the token of the claim
-- a.revision        revision of the model that decoded it
-- a.cache_ttl       seconds; 0: nothing is cached
-- a.cache_entries   how many cache entries a tenant may have
-- a.short_windows, a.window_fallbacks   how many encoder windows were short, and for how many of them the result was not believed
-- a.busy_ms         busy time of the worker since its previous result, in ms
-- a.result_ttl, a.failed_audio_ttl, a.gone_ttl   seconds
-- ARGV[5]           the canonical transcript as JSON
--
-- a.text            of a piece: its text
-- a.execution       an id for RQ's execution record, in case there is a file to stitch; the same id again if the last call got
--                   no answer
-- a.worker, a.lease_ms, a.audio_ttl   as in claim.lua
-- a.lanes           the RQ queues that this worker serves
--
-- Returns {'stale'} for a stale token; {'completed', 1 if no job waits in the worker's lanes, else 0}; {'piece'} for a piece,
-- which is now a checkpoint of its file; or, for the last piece of a file, {'stitch', the file's hash}: this worker now has a
-- lease on the file, to stitch and finish it.
-- uses: executions pieces leases flights

-- How far back the pace looks, in busy time of workers (ms).
local PACE_MS = 300000

even_when_full()
local file_id = string.match(a.id, '^(.*)_p%d+$')
local again = file_id and begun_before(file_id)
if again then
  return { 'stitch', again }
end
local job, before = held(a.id, a.token, 'completed')
local transcript = ARGV[5]
if not job then
  return before and { before, 0 } or { 'stale' }
end

-- Note how fast busy workers get through the jobs of a lane, for the ETA: decoded audio and busy time, both in ms. Work fades
-- out: what lies further back than the last minutes of busy time hardly counts. An idle night changes nothing.
local function note_pace()
  local pace, audio, busy = PREFIX .. ':pace', job.lane .. ':audio_ms', job.lane .. ':busy_ms'
  local before, kept = redis.call('HMGET', pace, audio, busy), math.exp(-a.busy_ms / PACE_MS)
  redis.call('HSET', pace,
    audio, integer((before[1] or 0) * kept + job.audio_seconds * 1000), busy, integer((before[2] or 0) * kept + a.busy_ms))
end

local function count_windows()
  if a.short_windows > 0 then
    redis.call('HINCRBY', PREFIX .. ':totals', 'short_windows', a.short_windows)
    redis.call('HINCRBY', PREFIX .. ':totals', 'window_fallbacks', a.window_fallbacks)
  end
end

if job.parent then
  local file, pieces, said = load_job(job.parent), checkpoints_of(job.parent)
  redis.call('HSET', pieces, job.piece, transcript)
  redis.call('HSET', said, job.piece, a.text)
  redis.call('EXPIRE', pieces, a.audio_ttl)
  redis.call('EXPIRE', said, a.audio_ttl)
  redis.call('HINCRBYFLOAT', key('job', file.id), 'progress_seconds', job.audio_seconds)
  note_pace()
  count('pieces_decoded')
  count_windows()
  drop_piece(job)
  if redis.call('HINCRBY', key('job', file.id), 'pieces_left', -1) > 0 then
    return { 'piece' }
  end
  redis.call('SREM', PREFIX .. ':split', file.id)
  return { 'stitch', begin_execution(file, {}) }
end

local function nothing_waits()
  local queues = {}
  for i, lane in ipairs(a.lanes) do
    queues[i] = RQ .. ':queue:' .. lane
  end
  return redis.call('EXISTS', unpack(queues)) == 0 and 1 or 0
end

local followers = close_flight(job)
redis.call('SET', key('transcript', job.id), transcript, 'EX', a.result_ttl)
settle(job, 'completed', {
  origin = 'decoded', progress_seconds = job.audio_seconds, ended_by = job.token,
})
for _, follower in ipairs(followers) do
  redis.call('SET', key('transcript', follower.id), transcript, 'EX', a.result_ttl)
  settle(follower, 'completed', {
    origin = 'shared', worker = job.worker, started_at_ms = job.started_at_ms, progress_seconds = job.audio_seconds,
  })
end

if a.cache_ttl > 0 then
  local name, index = job.digest .. ':' .. a.revision, key('cached', job.tenant)
  redis.call('SET', key('cache', name), integer(NOW) .. '\n' .. transcript, 'EX', a.cache_ttl)
  redis.call('ZADD', index, NOW, name)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', NOW - a.cache_ttl * 1000)
  keep_for(index, 2 * a.cache_ttl)
  local excess = redis.call('ZCARD', index) - a.cache_entries
  for _ = 1, math.min(excess, 100) do
    redis.call('DEL', key('cache', redis.call('ZPOPMIN', index)[1]))
  end
end

-- The pieces of a file have been counted one by one.
if not job.pieces then
  note_pace()
  count_windows()
end
count('decoded')
return { 'completed', nothing_waits() }
