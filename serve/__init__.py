"""The HTTP endpoint of recognizers, on Ray Serve.

incoming.py    an HTTP request -> images as bytes, and options
api.py         the paths, their documentation, and what is refused; plain FastAPI, without Ray
frontend.py    Ray Serve: the process that reads requests and sends them to a replica
replica.py     Ray Serve: the process that holds recognizers and answers
app.py         both, put together by a configuration
"""
