"""What a run was worth: its row begins with what the run itself tells; votes, checks and the merge come later."""
