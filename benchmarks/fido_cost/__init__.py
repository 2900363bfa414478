"""Cost and quality of FIDO's maps: schedules, warm starts, paths over λ."""
