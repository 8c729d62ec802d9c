"""Audio: what it is, how long, its sound, and the walls around the native parsers that read it.

- `containers`, `frames`, `recognition`: which format some bytes are, told from the bytes alone
- `links`: where one programme in a file ends and the next begins
- `source`, `programme`, `reading`: FFmpeg's packets, each with its place in the file; the one reading that length and sound
  both come from; `promises`, `repairs`, `tracks`: what headers say, and what is made of it
- `probe`: how long it is, its tracks, and how much of a promised length is missing
- `decode`, `sound`, `enhance`: what a model hears
- `wav`: the one format that needs no native parser, and the header that raw PCM is given
- `report`: what a caller is told about all of it
- `walls`: the processes in which FFmpeg runs. Nothing else imports `reading`, `probe`, `decode` or `enhance`.
"""
