"""Our own file formats: YAML with line marks, job, plan.json, arrays, atomic writes."""
