"""What listeners did: events, the sources they come from, the store that keeps them, and what a song is by them."""
