"""The HTTP routes: each call of the API, put together from the other packages."""
