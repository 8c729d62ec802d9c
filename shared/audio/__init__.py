"""Audio: recognising its format, its length, its sound, and the walls around the native parsers that read it.

- `containers`, `frames`, `recognition`: which format the bytes are in, told from the bytes alone
- `links`: where one programme in a file ends and the next begins
- `source`, `programme`, `reading`: FFmpeg's packets, each with its place in the file; length and sound both come from one reading
- `promises`, `repairs`, `tracks`: the length that headers state, headers that FFmpeg takes wrongly, and the choice of a track
- `probe`: the length of a file, its tracks, and how much of the stated length is missing
- `decode`, `sound`, `enhance`: the samples that a model gets
- `wav`: the one format that needs no native parser, and the header that is put before raw PCM
- `report`: what the caller is told about the audio
- `walls`: the processes in which FFmpeg runs. No module outside them imports `reading`, `probe`, `decode` or `enhance`.
"""
