"""Tables of arms, trials, effects, verdicts and data sets, and their files."""
