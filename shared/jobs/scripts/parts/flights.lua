-- Flights: equal jobs that share one decode, and what happens to the followers when the leader ends.
-- uses: lanes endings

local function followers_of(job)
  return redis.call('ZRANGE', key('followers', job.digest), 0, -1)
end

local function leads(job)
  return redis.call('GET', key('flight', job.digest)) == job.id
end

-- End the flight of a job: delete its keys, and return its unfinished followers, which the calling script settles.
local function close_flight(job)
  local followers = {}
  if not leads(job) then
    return followers
  end
  for _, id in ipairs(followers_of(job)) do
    local follower = load_job(id)
    if follower and not TERMINAL[follower.state] then
      followers[#followers + 1] = follower
    end
  end
  redis.call('DEL', key('flight', job.digest), key('followers', job.digest))
  return followers
end

local AUDIO_LOST = cjson.encode({
  code = 'audio_lost', message = 'The audio was kept no longer when its turn came; submit it again.', retryable = false,
})

-- The leader ends without a result or an error that holds for its followers: the first follower gets its audio and its place.
-- This must run before the leader is settled, since settling deletes the audio.
local function promote_follower(job)
  if not leads(job) then
    return
  end
  local heir
  for _, id in ipairs(followers_of(job)) do
    redis.call('ZREM', key('followers', job.digest), id)
    local follower = load_job(id)
    if follower and follower.state == 'queued' then
      heir = follower
      break
    end
  end
  if not heir then
    close_flight(job)
    return
  elseif redis.call('EXISTS', key('audio', job.id)) == 0 then
    settle(heir, 'failed', { error = AUDIO_LOST })
    for _, follower in ipairs(close_flight(job)) do
      settle(follower, 'failed', { error = AUDIO_LOST })
    end
    return
  end
  redis.call('RENAME', key('audio', job.id), key('audio', heir.id))
  for _, kind in ipairs({ 'pieces', 'said' }) do
    if redis.call('EXISTS', key(kind, job.id)) == 1 then
      redis.call('RENAME', key(kind, job.id), key(kind, heir.id))
    end
  end
  redis.call('SET', key('flight', job.digest), heir.id)
  redis.call('ZREM', RQ .. ':deferred:' .. heir.lane, heir.id)
  for _, id in ipairs(followers_of(job)) do
    hset(key('job', id), { leader = heir.id })
  end
  enter_lane(heir, true)
end

-- End an unfinished job without a result, for a reason that is not its followers' (a cancel, a deadline): they go on without it.
local function withdraw(job, state)
  job = file_of(job)
  if job.leader then
    redis.call('ZREM', key('followers', job.digest), job.id)
  else
    if job.state == 'queued' then
      leave_lane(job)
    end
    promote_follower(job)
  end
  settle(job, state, {})
end

-- Fail a job that cannot be transcribed, and its followers with it: they have the same audio and options, and decoding the same
-- bytes for each of them would fail in the same way. `error` is JSON {code, message, retryable}.
local function give_up(job, error)
  local told, file = cjson.decode(error), file_of(job)
  told.message = in_piece(job, told.message)
  local followers, fields = close_flight(file), { error = cjson.encode(told) }
  settle(file, 'failed', fields)
  for _, follower in ipairs(followers) do
    settle(follower, 'failed', { error = fields.error, audio_of = file.id })
  end
end
