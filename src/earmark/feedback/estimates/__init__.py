"""From what listeners did to what a song is: evidence, shares with intervals, categories, and what limits them."""
