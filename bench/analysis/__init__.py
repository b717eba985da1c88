"""From records to what they say: frames, pairs, tests, effects, ranking, power, fronts."""
