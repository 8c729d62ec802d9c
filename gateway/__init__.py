"""Takes HTTP requests and makes jobs of them. Stateless: any replica answers any request.

A gateway has audio probed, to learn its length and tracks. It decodes no audio and knows no model.
"""
