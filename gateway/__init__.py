"""HTTP in, jobs out. Stateless: any replica answers any request. It probes audio headers, decodes nothing, knows no model."""
