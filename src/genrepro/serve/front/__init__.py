"""The program that uvicorn runs in front of MLflow's. It imports nothing of genrepro: a registered version
brings its own code, which must be the only one in the server's process.
"""
