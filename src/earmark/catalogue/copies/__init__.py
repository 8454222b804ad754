"""Finding which recordings are the same: from fingerprints to words, pairs and groups."""
