"""What a FIDO map costs: schedules, warm starts, paths over lambda."""
