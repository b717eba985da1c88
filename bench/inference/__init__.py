"""Using what a trial has learnt: its trained model, scores, and predictions for any images."""
