"""Why: which descriptors, bands and moments an answer rests on."""
