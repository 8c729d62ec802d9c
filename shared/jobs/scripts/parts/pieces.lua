-- Pieces of long files, and their checkpoints.
-- uses: lanes executions

-- Remove a piece. Only its checkpoint stays; its history is in its file's record.
local function drop_piece(piece)
  if piece.state == 'queued' then
    leave_lane(piece)
  end
  end_execution(piece)
  redis.call('ZREM', PREFIX .. ':deadlines', piece.id)
  redis.call('DEL', key('job', piece.id), key('audio', piece.id), key('partial', piece.id), RQ .. ':job:' .. piece.id)
end

local function piece_id(file, number)
  return file.id .. '_p' .. integer(number)
end

-- The two keys with the checkpoints of a file: the pieces' transcripts, and their text for callers who watch.
local function checkpoints_of(id)
  return key('pieces', id), key('said', id)
end

-- Remove all pieces of a file that is about to end or to be cut anew. Workers that decode one of its pieces lose their lease.
-- Audio of pieces that were put and never queued is deleted, too.
local function drop_pieces(file)
  local most = math.max(tonumber(file.pieces or 0), tonumber(file.put_pieces or 0))
  if most == 0 then
    return
  end
  redis.call('SREM', PREFIX .. ':split', file.id)
  redis.call('ZREM', RQ .. ':deferred:' .. file.lane, file.id)
  for number = 1, most do
    local id = piece_id(file, number)
    local piece = load_job(id)
    if piece then
      drop_piece(piece)
    else
      redis.call('DEL', key('audio', id))
    end
  end
  redis.call('HDEL', key('job', file.id), 'pieces', 'pieces_left', 'put_pieces')
end

-- How many pieces change their lane in one call at most: 200 take Redis some 20 ms.
local MOST_HURRIED = 200

-- A caller now waits for a file that was in the batch lane: its waiting pieces move to the lane `pieces_lane` of the file, in
-- their order. If there are more than MOST_HURRIED, the sweep (reconcile.lua) moves the others.
local function hurry_pieces(file)
  local moved = 0
  for number = 1, tonumber(file.pieces or 0) do
    local name = key('job', piece_id(file, number))
    local seen = redis.call('HMGET', name, 'state', 'lane')
    if seen[1] == 'queued' and seen[2] ~= file.pieces_lane and moved < MOST_HURRIED then
      local piece = load_job(piece_id(file, number))
      leave_lane(piece)
      piece.lane = file.pieces_lane
      hset(name, { lane = piece.lane })
      enter_lane(piece, false)
      moved = moved + 1
    end
  end
end
