"""What experiments show: subjects from the database, a reading by metrics.statistics, a decision by the rule."""
