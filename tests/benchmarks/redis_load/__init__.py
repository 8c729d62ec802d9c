"""The load that one Redis bears: many supervisors whose model takes microseconds, and a gateway without HTTP that submits."""
