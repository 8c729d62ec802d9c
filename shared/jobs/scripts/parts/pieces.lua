-- Pieces of long files, and what they have come to.
-- uses: lanes executions

-- A piece leaves no trace but its checkpoint: its file tells how it went.
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

-- What the pieces of a file have come to: their transcripts, and their text for whoever watches.
local function checkpoints_of(id)
  return key('pieces', id), key('said', id)
end

-- The file is about to end, or to be cut anew: whoever decodes a piece of it finds itself without a lease. Also of pieces that
-- were put and never queued nothing is left.
local function drop_pieces(file)
  redis.call('SREM', PREFIX .. ':split', file.id)
  local most = math.max(tonumber(file.pieces or 0), tonumber(file.put_pieces or 0))
  if most == 0 then
    return
  end
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

-- So many pieces change their lane in one call: that takes Redis some 20 ms.
local MOST_HURRIED = 200

-- Somebody waits for a file that was in no hurry: its pieces that wait in another lane go to the one that it names, in their order.
-- Where there are more of them a sweep goes on.
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
