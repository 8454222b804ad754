"""Being sure: how probable an answer is, which answers a song may have, when to say nothing, and what is unheard of."""
