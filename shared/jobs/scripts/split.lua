-- Queue the pieces of a long file, in one step, so that any worker may take them. Their audio is stored already (put_piece.lua).
--
-- a.id, a.token    the file and the token of its claim
-- a.lane           the pieces' lane, unless a submit has moved the file to a more urgent lane since it was claimed
-- a.cut            JSON string: what is known of the whole file, for stitching
-- a.pieces         list of {piece ('from-to' in ms), seconds, size_bytes, options (JSON string)}, in order
-- a.audio_ttl      seconds
-- a.start_deadline_ms   how long a piece may wait to be started; the file itself was started in time
-- a.execution, a.worker, a.lease_ms   as in finish.lua, in case only stitching is left to do
-- ARGV[5..]        per piece: how many fields, then field, value, ... of RQ's own hash
--
-- If a piece has a checkpoint from an earlier life of the file (before it failed, or of a cancelled leader), it is not decoded
-- again. Returns {'stale'} for a stale token, {'missing'} if the audio of a piece is not there, {'split'}; or
-- {'stitch', the file's hash} if all pieces are done.
-- uses: executions pieces lanes leases
local again = begun_before(a.id)
if again then
  return { 'stitch', again }
end
local file, before = held(a.id, a.token, 'split')
if not file then
  return { before or 'stale' }
end

local lane = file.pieces_lane or a.lane
local checkpoints, said = checkpoints_of(file.id)
local wanted = {}
for number, piece in ipairs(a.pieces) do
  wanted[piece.piece] = true
  if redis.call('HEXISTS', checkpoints, piece.piece) == 0 and redis.call('EXISTS', key('audio', piece_id(file, number))) == 0 then
    return { 'missing' }
  end
end
for _, name in ipairs(redis.call('HKEYS', checkpoints)) do
  if not wanted[name] then
    redis.call('HDEL', checkpoints, name)
    redis.call('HDEL', said, name)
  end
end

local function record_of(number, piece)
  return {
    id = piece_id(file, number), parent = file.id, piece = piece.piece, state = 'queued', tenant = file.tenant,
    options = piece.options, model = file.model, priority = file.priority, lane = lane, digest = piece_id(file, number),
    sha256 = file.sha256, audio_format = 'flac', audio_seconds = piece.seconds, size_bytes = piece.size_bytes, attempt = 0,
    created_at_ms = integer(NOW), start_deadline_ms = a.start_deadline_ms,
  }
end

local rq_fields, at = {}, 5
for number = 1, #a.pieces do
  local count_of = tonumber(ARGV[at])
  rq_fields[number] = { at + 1, at + count_of }
  at = at + 1 + count_of
end

put_down(file, 'split')
local left, done_seconds = 0, 0
-- The last piece goes first, each to the front of the lane. So the pieces are in order, and come before the next long file.
for number = #a.pieces, 1, -1 do
  local piece = a.pieces[number]
  if redis.call('HEXISTS', checkpoints, piece.piece) == 1 then
    redis.call('DEL', key('audio', piece_id(file, number)))
    done_seconds = done_seconds + piece.seconds
  else
    local record = record_of(number, piece)
    hset(key('job', record.id), record)
    redis.call('EXPIRE', key('audio', record.id), a.audio_ttl)
    redis.call('HSET', RQ .. ':job:' .. record.id, unpack(ARGV, rq_fields[number][1], rq_fields[number][2]))
    enter_lane(record, true)
    left = left + 1
  end
end
hset(key('job', file.id), { pieces = #a.pieces, pieces_left = left, cut = a.cut, progress_seconds = done_seconds })
redis.call('DEL', key('partial', file.id))
count('files_split')
if left == 0 then
  return { 'stitch', begin_execution(file, {}) }
end
-- RQ calls a job that waits for other jobs `deferred`.
tell_rq(file.id, { status = 'deferred' })
redis.call('SADD', PREFIX .. ':split', file.id)
redis.call('ZADD', RQ .. ':deferred:' .. file.lane, math.floor(NOW / 1000), file.id)
return { 'split' }
