-- Store the audio of a piece while its file is being cut; or drop the stored pieces, since the file will not be split.
--
-- a.id, a.token   the file and the token of its claim
-- a.number        which piece (from 1); 0 drops all pieces
-- a.ttl           seconds that the audio lasts until the file is split
-- ARGV[5]         the audio
--
-- Returns 1, or 0 when the token is stale: another worker may have put its own pieces there.
-- uses: pieces leases
local file = held(a.id, a.token)
if not file then
  return 0
end
if a.number == 0 then
  drop_pieces(file)
  return 1
end
redis.call('SET', key('audio', piece_id(file, a.number)), ARGV[5], 'EX', a.ttl)
-- Every script that ends the file finds its stored pieces by this number.
hset(key('job', file.id), { put_pieces = math.max(a.number, tonumber(file.put_pieces or 0)) })
return 1
