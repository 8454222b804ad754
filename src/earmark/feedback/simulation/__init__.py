"""Made-up listeners whose taste is known: what the demo imports, and the proof that estimates of appeal are right.

What listeners do tells what they like only through a veil: they meet what is popular and what suits them, skip what
they like in the wrong mood, let play what they do not care for, and say something when they are delighted. Here the
veil is the same, but what is behind it is known exactly, so that an estimate, its interval and its correction can be
checked.

`truth`: who likes what; `exposure`: who meets what; `listening`, `sessions`: what they do, and when; `saying`:
reactions and tags; `bots`: who is nobody; `world` puts it together; `writing` writes it as Spotify and ListenBrainz
export it.

Whether somebody likes a song is one draw for each of them and each song. What is met depends on popularity and on
taste, through the probability of liking, and not on the draw: so with the right propensities the truth can be had from
what was met (Rosenbaum and Rubin 1983; Schnabel et al., "Recommendations as treatments", ICML 2016). What is said of a
song depends on the draw itself, and is not missing at random (Marlin and Zemel, "Collaborative prediction and ranking
with non-random missing data", RecSys 2009).
"""
