"""The HTTP routes: what each call of the API does, in terms of the other packages."""
