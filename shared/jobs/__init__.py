"""Jobs: their record and states, their keys in Redis, their lanes, and the Lua scripts that change them."""
