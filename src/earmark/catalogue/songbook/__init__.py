"""The songbook: real music that every machine renders for itself.

Scores and soundfont come with packages from PyPI (music21, pretty_midi); nothing is fetched.

Read in this order: `corpus` (which pieces), `score` with its readers `musicxml` and `abc`, `families` (which pieces are
one), `conditions` (what is drawn at random), `performance` (score to waveform), `opus` (waveform to bytes), `rendering`
(one piece, all the way), `making` (all pieces, as a collection).
"""
